//! Settings of the memory allocator.

/// Blocks of this size and larger are mapped separately and unmapped when freed, so a burst leaves no memory
/// behind.
///
/// This is glibc's initial threshold. By default glibc raises it to the size of each larger freed block, up
/// to 32 MiB; from then on such blocks come from heaps that cannot shrink while a small block remains at
/// their end. `./test hanging` measures the effect for delayed writer and exporter threads.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: i32 = 128 * 1024;

/// Makes freed large blocks return to the system. Call it before other threads exist.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    #[expect(
        unsafe_code,
        reason = "the C library offers no other way that does not begin before the program"
    )]
    // SAFETY: mallopt changes a number under the allocator's own lock. Existing blocks do not depend on it:
    // each records how it must be freed.
    let _ = unsafe { nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
}
