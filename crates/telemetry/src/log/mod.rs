//! Log lines: which are wanted, and how they leave the process.

mod level;

pub use level::{Level, LevelFilter, LevelSetting, LevelSettingError};
