//! Numbers beside a page that nobody may touch: reading or writing past them ends the process.
#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};

use crate::draw::Draw;

/// Where the page lies that nobody may touch.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// It ends where the numbers begin.
    Before,
    /// It begins where the numbers end.
    After,
}

/// Numbers beside a page that nobody may touch.
pub struct Guarded {
    pages: *mut libc::c_void,
    bytes: usize,
    first: *mut f32,
    len: usize,
}

impl Guarded {
    /// `len` zeros.
    pub fn zeros(side: Side, len: usize) -> Self {
        // SAFETY: asking for a page's size has no condition.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let inside = (len * size_of::<f32>()).next_multiple_of(page);
        let bytes = inside + page;
        // SAFETY: new memory, which is zero; one page at an end becomes inaccessible, and `first` begins `len` numbers inside
        // of the rest, at a multiple of their size.
        unsafe {
            let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let pages = libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED, "{bytes} bytes");
            let (forbidden, first) = match side {
                Side::Before => (pages, pages.byte_add(page).cast::<f32>()),
                Side::After => (pages.byte_add(inside), pages.byte_add(inside).cast::<f32>().sub(len)),
            };
            assert_eq!(libc::mprotect(forbidden, page, libc::PROT_NONE), 0, "a page that nobody may touch");
            Self { pages, bytes, first, len }
        }
    }

    /// `len` random numbers.
    pub fn random(draw: &mut Draw, side: Side, len: usize) -> Self {
        let mut numbers = Self::zeros(side, len);
        for (number, value) in numbers.iter_mut().zip(draw.values(len, 1.0)) {
            *number = value as f32;
        }
        numbers
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: `zeros` mapped it, and nobody borrows it any more.
        unsafe { libc::munmap(self.pages, self.bytes) };
    }
}

impl Deref for Guarded {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `zeros` made room for as many numbers.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and `self` is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.first, self.len) }
    }
}

/// The system refuses to read the byte on the guarded side, and reads that on the other end of the numbers.
#[test]
fn the_page_is_out_of_reach() {
    let mut ends = [0; 2];
    // SAFETY: `pipe` writes two numbers.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    for side in [Side::Before, Side::After] {
        let numbers = Guarded::zeros(side, 5);
        let bytes = numbers.as_ptr_range();
        let (before, past) = (bytes.start.cast::<u8>().wrapping_sub(1), bytes.end.cast::<u8>());
        let (guarded, first) = match side {
            Side::Before => (before, bytes.start.cast::<u8>()),
            Side::After => (past, past.wrapping_sub(1)),
        };
        // SAFETY: the system checks addresses that it is given; what is not readable is an error.
        let write = |from: *const u8| unsafe { libc::write(ends[1], from.cast(), 1) };
        assert_eq!((write(guarded), write(first)), (-1, 1), "{side:?}");
    }
    for end in ends {
        // SAFETY: both were opened above.
        unsafe { libc::close(end) };
    }
}
