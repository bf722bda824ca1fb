//! JSON text appended to a byte buffer, for log lines.

/// Appends `,"name":`. Names are compile-time constants and need no escaping.
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

/// Appends a quoted string, escaped as JSON requires.
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
    let whole = nanoseconds / 1_000_000;
    let mut text = eight_digits((nanoseconds % 1_000_000) as u32);
    text[1] = b'.';
    // Most operations take less than 10 ms, so that all of it is one piece.
    if whole < 10 {
        text[0] = b'0' + whole as u8;
        out.extend_from_slice(&text);
    } else {
        integer(out, whole);
        out.extend_from_slice(&text[1..]);
    }
}

/// Returns a number below a hundred million in decimal, padded with zeros. Its halves, then their halves and
/// then all digits are divided at once, side by side in one integer, with the first in the lowest bits.
/// Multiplications replace the divisions by 100 and 10; they are exact for numbers below 10,000 and 100.
#[inline]
pub(crate) fn eight_digits(number: u32) -> [u8; 8] {
    let halves = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | (halves - 100 * hundreds) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | (pairs - 10 * tens) << 8;
    (digits | u64::from_le_bytes([b'0'; 8])).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_padded_to_eight_digits() {
        // Covers every value of each half, combined with the values at which a digit changes in the other
        // half.
        let halves = (0..10_000).flat_map(|half| [half, half * 10_000, half * 10_001, 99_990_000 + half]);
        for number in halves {
            assert_eq!(eight_digits(number), format!("{number:08}").as_bytes(), "{number}");
        }
    }

    #[test]
    fn milliseconds_have_six_decimals() {
        for (nanoseconds, expected) in [
            (0, "0.000000"),
            (1, "0.000001"),
            (999_999, "0.999999"),
            (1_000_000, "1.000000"),
            (9_999_999, "9.999999"),
            (10_000_000, "10.000000"),
            (1_234_567_890, "1234.567890"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            let mut out = Vec::new();
            milliseconds(&mut out, nanoseconds);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
