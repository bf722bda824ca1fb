//! Log lines: the filter that selects them, and their way out of the process.

mod bridge;
mod console;
mod file;
mod level;
mod line;
mod panic;
mod pretty;
mod settings;
mod statistics;
mod writer;

pub use bridge::{CurrentIds, LIBRARY_EVENT, LogOutput, TracingBridge, TracingBridgeSettings, UNNAMED_EVENT};
pub use level::{LevelFilter, LevelSetting, LevelSettingError, silence_this_thread};
pub use panic::{PanicCount, PanicText, install_panic_hook};
pub use pretty::PrettyPrinter;
pub use settings::{LogError, LogFileSettings, LogFormat, LogSettings};
pub use signal::Level;
pub use statistics::{LogDropReason, LogSink, LogStatistics, LogVolume};
pub use writer::{LogSource, LogWriter, LogWriterHandle};
