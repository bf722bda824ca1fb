//! How the process treats its memory.

/// From this size on a block is mapped for itself and unmapped when it is freed, so that a burst leaves no memory behind.
///
/// It is what the C library begins with. By itself it raises that to the size of each larger block that is freed, up to 32 MiB; from then
/// on blocks of that size are cut from heaps that never shrink where something small lies at their end. `./test hanging` shows what that is
/// worth when the threads that write and send come too late.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: i32 = 128 * 1024;

/// Gives large blocks back to the system when they are freed. Call it before other threads exist.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    #[expect(
        unsafe_code,
        reason = "the C library offers no other way that does not begin before the program"
    )]
    // SAFETY: mallopt changes a number of the allocator under the allocator's own lock. No block depends on that number: each says itself
    // how it has to be freed.
    let _ = unsafe { nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
}
