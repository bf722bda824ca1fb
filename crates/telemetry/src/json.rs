//! JSON text appended to a byte buffer: the pieces that a log line is made of.

/// Appends `,"name":`. Names are compile-time constants of ours and need no escaping.
#[inline]
pub(crate) fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends an integer.
#[inline]
pub(crate) fn integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a string with everything escaped that JSON requires.
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
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Appends nanoseconds as milliseconds with all six decimals, so that a line's duration equals its span's to the nanosecond.
#[inline]
pub(crate) fn milliseconds(out: &mut Vec<u8>, nanoseconds: u64) {
    integer(out, nanoseconds / 1_000_000);
    out.push(b'.');
    digits(out, nanoseconds % 1_000_000, 6);
}

/// Appends `value` in decimal, padded with zeros to exactly `count` digits.
#[inline]
pub(crate) fn digits(out: &mut Vec<u8>, mut value: u64, count: usize) {
    let start = out.len();
    out.resize(start + count, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}
