//! The telemetry of one run, and how its buffers are emptied.

use std::sync::Arc;
use std::time::{Duration, Instant};

use telemetry::log::{LogFormat, LogSettings, LogSource, LogWriter};
use telemetry::{Telemetry, TelemetrySettings};

/// Number of requests after which the buffers are emptied. With spans and lines of some 300 bytes,
/// the sending threads are woken at about this amount.
pub(crate) const TAKEN_AFTER: u64 = 256;

/// The telemetry of one run, including the work of its threads.
pub(crate) struct Recording {
    pub(crate) telemetry: Telemetry,
    writer: LogWriter,
}

struct Lines(Telemetry);

impl LogSource for Lines {
    fn take(&self, spare: &mut Vec<u8>, write: &mut dyn FnMut(&mut Vec<u8>)) {
        self.0.take_lines(spare, write);
    }
}

impl Recording {
    pub(crate) fn start(settings: TelemetrySettings) -> anyhow::Result<Self> {
        let telemetry = Telemetry::new(settings);
        // The writer writes only on request, so that nothing depends on time.
        let settings =
            LogSettings { stdout: Some(LogFormat::Json), file: None, interval: Duration::from_secs(3600) };
        let source = Arc::new(Lines(telemetry.clone()));
        let nowhere = || Box::new(std::io::sink());
        let writer = LogWriter::start_with_outputs(settings, source, Some(nowhere()), nowhere())?;
        let recording = Self { telemetry, writer };
        // The first call grows the buffers to their final size. The thread may or may not have called
        // it already.
        recording.take();
        Ok(recording)
    }

    fn take(&self) {
        self.writer.flush(Instant::now() + Duration::from_secs(60));
        // As in the sender, whose queue holds it without spare capacity.
        let spans = self.telemetry.take_spans(2 << 20, Vec::new());
        std::hint::black_box(spans.request.into_boxed_slice());
    }
}

pub(crate) fn take(recording: Option<&Recording>, number: u64) {
    if let Some(recording) = recording
        && number.is_multiple_of(TAKEN_AFTER)
    {
        recording.take();
    }
}
