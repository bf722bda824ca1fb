//! Positions in the log files from which to read after a start.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::cutter::LONGEST_LINE;
use crate::store::lines::LineParser;

/// Number of lines sampled in each file.
const SAMPLES: u64 = 64;
/// Usual maximum length of a line in bytes.
const USUAL: usize = 8 << 10;

/// A line at a place of a file.
struct Sample {
    file: usize,
    start: u64,
    at: i64,
    /// Bytes up to the next sample.
    length: u64,
}

/// Returns the positions in files from which to read the newest lines, `bytes` in all files together. Reading
/// starts at about the same time of the log in all files. Files without a position are read from the start.
pub(super) fn offsets(files: &[(PathBuf, Metadata)], bytes: u64) -> HashMap<PathBuf, u64> {
    let total: u64 = files.iter().map(|(_, metadata)| metadata.len()).sum();
    if total <= bytes {
        return HashMap::new();
    }
    let mut parser = LineParser::default();
    let mut samples = Vec::new();
    for (file, (path, metadata)) in files.iter().enumerate() {
        // An unreadable file is reported later, when its lines are read.
        let _ = sample(file, path, metadata.len(), &mut parser, &mut samples);
    }
    samples.sort_by_key(|sample| std::cmp::Reverse(sample.at));
    let mut starts: Vec<Option<u64>> = vec![None; files.len()];
    let mut room = bytes;
    for sample in &samples {
        room = room.saturating_sub(sample.length);
        if room == 0 {
            break;
        }
        let start = starts[sample.file].get_or_insert(sample.start);
        *start = sample.start.min(*start);
    }
    let positions = files.iter().zip(starts).map(|((path, metadata), start)| {
        let start = start.unwrap_or_else(|| end_of_lines(path, metadata.len()).unwrap_or(metadata.len()));
        (path.clone(), start)
    });
    positions.collect()
}

fn sample(
    index: usize,
    path: &Path,
    size: u64,
    parser: &mut LineParser,
    samples: &mut Vec<Sample>,
) -> io::Result<()> {
    let mut file = File::open(path)?;
    let length = size.div_ceil(SAMPLES).max(1);
    let mut place = 0;
    let mut buffer = Vec::new();
    while place < size {
        if let Some((start, at)) = line_after(&mut file, place, parser, &mut buffer)? {
            samples.push(Sample { file: index, start, at, length });
        }
        place += length;
    }
    Ok(())
}

/// Returns the position and the time of the first line that begins at or after a position.
fn line_after(
    file: &mut File,
    position: u64,
    parser: &mut LineParser,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<(u64, i64)>> {
    let before = position.saturating_sub(1);
    for most in [USUAL, 2 * LONGEST_LINE] {
        buffer.clear();
        file.seek(SeekFrom::Start(before))?;
        Read::by_ref(file).take(most as u64).read_to_end(buffer)?;
        let newline = |from: usize| {
            let found = buffer.get(from..)?.iter().position(|byte| *byte == b'\n')?;
            Some(from + found)
        };
        let begin = if position == 0 { Some(0) } else { newline(0).map(|end| end + 1) };
        if let Some((begin, end)) = begin.and_then(|begin| Some((begin, newline(begin)?))) {
            let line = parser.parse(&buffer[begin..end]);
            return Ok(line.ok().map(|line| (before + begin as u64, line.at)));
        }
    }
    Ok(None)
}

/// Returns the end of the last complete line.
fn end_of_lines(path: &Path, size: u64) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let from = size.saturating_sub(LONGEST_LINE as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(size - from).read_to_end(&mut end)?;
    Ok(end.iter().rposition(|byte| *byte == b'\n').map_or(size, |last| from + last as u64 + 1))
}
