//! Where a pickle ends, found without building anything: opcode by opcode, as Python's `pickletools` lists them.

/// Bytes up to the end of the `count`th of the pickles at the start of `bytes`; `None` where they are cut off.
pub(super) fn end(bytes: &[u8], count: usize) -> Option<usize> {
    let (mut at, mut ended) = (0, 0);
    while ended < count {
        let opcode = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        ended += usize::from(opcode[0] == b'.');
        at = at.checked_add(length(opcode)?)?;
    }
    (at <= bytes.len()).then_some(at)
}

/// Bytes of the opcode at the start of `bytes`, with its arguments; `None` where they are cut off.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let number = |width: usize| {
        let bytes = bytes.get(1..1 + width)?;
        let number = bytes.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        usize::try_from(number).ok()?.checked_add(1 + width)
    };
    let lines = |count: usize| {
        let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        ends.nth(count - 1).map(|(end, _)| end + 1)
    };
    match bytes[0] {
        // Numbers of a fixed width: small integers, memo indices, versions, frames, doubles.
        b'K' | b'h' | b'q' | 0x80 | 0x82 => Some(2),
        b'M' | 0x83 => Some(3),
        b'J' | b'j' | b'r' | 0x84 => Some(5),
        b'G' | 0x95 => Some(9),
        // Texts, bytes and long integers, preceded by their lengths.
        b'U' | b'C' | 0x8a | 0x8c => number(1),
        b'T' | b'B' | b'X' | 0x8b => number(4),
        0x8d | 0x8e | 0x96 => number(8),
        // Arguments in lines of text: numbers, texts, names, and a module above a name.
        b'I' | b'L' | b'F' | b'S' | b'V' | b'g' | b'p' | b'P' => lines(1),
        b'c' | b'i' => lines(2),
        _ => Some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::end;

    #[test]
    fn pickles_end_where_python_ends_them() {
        // pickle.dumps({"a": [1, 300, 70_000, 2.5], "b": b"xy.", "c": 1 << 70, "d": print}, protocol)
        let protocol_0: &[u8] =
            b"(dp0\nVa\np1\n(lp2\nI1\naI300\naI70000\naF2.5\nasVb\np3\nc_codecs\nencode\np4\n(Vxy.\np5\n\
            Vlatin1\np6\ntp7\nRp8\nsVc\np9\nL1180591620717411303424L\nsVd\np10\nc__builtin__\nprint\np11\ns.";
        let protocol_2: &[u8] = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01M,\x01Jp\x11\x01\x00G@\x04\x00\x00\x00\
            \x00\x00\x00eX\x01\x00\x00\x00bq\x03c_codecs\nencode\nq\x04X\x03\x00\x00\x00xy.q\x05X\x06\x00\x00\x00latin1q\
            \x06\x86q\x07Rq\x08X\x01\x00\x00\x00cq\t\x8a\t\x00\x00\x00\x00\x00\x00\x00\x00@X\x01\x00\x00\x00dq\nc__builtin\
            __\nprint\nq\x0bu.";
        let protocol_4: &[u8] =
            b"\x80\x04\x95R\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01M,\x01Jp\x11\x01\
            \x00G@\x04\x00\x00\x00\x00\x00\x00e\x8c\x01b\x94C\x03xy.\x94\x8c\x01c\x94\x8a\t\x00\x00\x00\x00\x00\x00\x00\
            \x00@\x8c\x01d\x94\x8c\x08builtins\x94\x8c\x05print\x94\x93\x94u.";
        for pickle in [protocol_0, protocol_2, protocol_4] {
            let two = [pickle, pickle, b"and what follows"].concat();
            assert_eq!((end(&two, 1), end(&two, 2)), (Some(pickle.len()), Some(2 * pickle.len())));
            for cut in 0..pickle.len() {
                assert_eq!(end(&pickle[..cut], 1), None, "cut at {cut}");
            }
        }
        assert_eq!(end(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", 1), None);
    }
}
