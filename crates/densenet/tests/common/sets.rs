//! The same on every instruction set.

use densenet_kernels::simd::Isa;

/// Runs `check` on every instruction set that the processor has; a failure names the set.
pub fn on_every_set(check: impl Fn() + Sync) {
    for isa in Isa::available() {
        println!("on {}", isa.name());
        isa.thread_pool(2).expect("two threads of a set that is there").install(&check);
    }
}
