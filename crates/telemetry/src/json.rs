//! JSON text appended to a byte buffer, for log lines.

/// Appends `,"name":`. Names are our own compile-time constants and need no escaping.
#[inline]
pub(crate) fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends an integer in decimal.
#[inline]
pub(crate) fn integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a quoted string, with everything escaped that JSON requires.
pub(crate) fn string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                hex(out, &[byte]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends lower-case hexadecimal digits.
#[inline]
pub(crate) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), b'0');
    write_hex(&mut out[start..], bytes);
}

/// Writes lower-case hexadecimal digits to the beginning of `out`. It uses arithmetic rather than a
/// table, because the compiler turns that into a few instructions for all digits of an id at once.
#[inline]
pub(crate) fn write_hex(out: &mut [u8], bytes: &[u8]) {
    let digit = |half: u8| b'0' + half + (b'a' - b'0' - 10) * u8::from(half > 9);
    for (digits, byte) in out.chunks_exact_mut(2).zip(bytes) {
        digits[0] = digit(byte >> 4);
        digits[1] = digit(byte & 15);
    }
}

/// Returns the hexadecimal digits of an id. It is a separate function because the compiler stopped
/// vectorizing it where it was inlined between other small steps, which tripled its cost.
#[inline(never)]
pub(crate) fn digits(id: &[u8; 16]) -> [u8; 32] {
    let mut digits = [0; 32];
    write_hex(&mut digits, id);
    digits
}

/// Appends nanoseconds as milliseconds with six decimals, so that a line's duration equals its
/// span's to the nanosecond.
#[inline]
pub(crate) fn milliseconds(out: &mut Vec<u8>, nanoseconds: u64) {
    integer(out, nanoseconds / 1_000_000);
    let [a, b, c, d, e, f] = six_digits(nanoseconds % 1_000_000);
    out.extend_from_slice(&[b'.', a, b, c, d, e, f]);
}

/// Returns a number below a million in decimal, padded with zeros.
#[inline]
pub(crate) fn six_digits(number: u64) -> [u8; 6] {
    // Division by a constant is cheaper in 32 bits than in 64.
    let mut rest = number as u32;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}
