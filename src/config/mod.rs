//! The configuration: what was typed becomes what is meant. Flags beat the environment beats the
//! file beats the defaults; a value is parsed where it stands, and whatever is wrong is said with
//! its place. Reading is `load.rs` alone; which settings take effect on a reload is the server's.

mod check;
mod choices;
mod error;
mod intercept;
mod load;
mod rules;
mod settings;
#[cfg(test)]
mod tests;
mod values;

pub use choices::{BlockPage, LogFormat, LogLevel, SetCookie, Unreadable};
pub use error::{ConfigError, Diagnosis};
pub use load::{Environment, Folders, Overrides, load, load_without_lists, parse};
pub use rules::RULE_KEYS;
pub use settings::{
    CacheSettings, Config, DiskFolder, InterceptSettings, KNOWN_KEYS, LimitSettings, LogSettings,
    ServerSettings, Settings, TlsSettings,
};
pub use values::{
    AccessLog, Admin, DEFAULT_PORT, DiskSize, MemorySize, ValueError, parse_duration, parse_listen,
    parse_size,
};

/// The exit code for a configuration that can't be used (`EX_CONFIG` of sysexits.h).
pub const EXIT_BAD_CONFIG: u8 = 78;
