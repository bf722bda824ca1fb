//! Settings and memory of the allocator.

/// Lets new threads share the heaps that exist. Call it at the start.
///
/// By default glibc creates up to eight heaps per processor, each with memory that it keeps. Threads that render
/// pages and write files come and go.
pub(crate) fn share_heaps() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the C library offers no other way")]
    // SAFETY: mallopt changes a number under the allocator's own lock. Existing blocks do not depend on it.
    let _ = unsafe { nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1) };
}

/// Returns freed memory to the system.
///
/// By itself glibc returns only what is at the end of a heap. Blocks of samples and pages free much in
/// between, which would remain resident.
pub(crate) fn give_back_freed() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the C library offers no other way")]
    // SAFETY: malloc_trim locks the allocator itself, and changes only memory that is not allocated.
    let _ = unsafe { nix::libc::malloc_trim(0) };
}
