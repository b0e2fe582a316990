//! Reads the configuration file and the list files, and puts file, environment and command line
//! together. The only place outside the store that reads files of the user's choosing.

#![expect(clippy::disallowed_methods, reason = "this is the configuration loader")]

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::check::Finding;
use super::error::{ConfigError, Diagnosis};
use super::settings::{Config, Settings};
use super::{AccessLog, Admin, DiskSize, LogFormat, LogLevel};
use crate::server::Listen;

/// A larger configuration file is some other file.
const FILE_SIZE_MAX: u64 = 4 << 20;

/// Room for some ten million hosts; the number is arbitrary.
const LIST_SIZE_MAX: u64 = 256 << 20;

/// What the command line or the environment says, and what therefore the file does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Empty: not said.
    pub listen: Vec<Listen>,
    pub admin: Option<Admin>,
    pub cache_dir: Option<PathBuf>,
    pub memory: Option<u64>,
    pub disk: Option<DiskSize>,
    pub access_log: Option<AccessLog>,
    pub log_format: Option<LogFormat>,
    pub log_level: Option<LogLevel>,
    pub intercept: bool,
    pub offline: bool,
    /// Beyond those of the file.
    pub extra_roots: Vec<PathBuf>,
}

/// The folders of the user that Larder runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    pub home: Option<PathBuf>,
    pub xdg_cache: Option<PathBuf>,
    pub xdg_config: Option<PathBuf>,
    pub xdg_data: Option<PathBuf>,
    pub is_root: bool,
    /// Where the configuration of the machine is.
    pub etc: PathBuf,
}

/// What of the environment says where programs and their data are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    pub home: Option<PathBuf>,
    pub xdg_data: Option<PathBuf>,
    /// The folders of `PATH`.
    pub programs: Vec<PathBuf>,
    pub java_home: Option<PathBuf>,
    /// Hosts that are asked without a proxy.
    pub no_proxy: Option<String>,
    /// Options for every JVM.
    pub java_options: Option<String>,
    /// What `wget` reads instead of the file in the user's folder.
    pub wgetrc: Option<PathBuf>,
    /// All variables that are text.
    pub variables: BTreeMap<String, String>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Environment {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let programs = env::var_os("PATH").map(|path| env::split_paths(&path).collect());
        Environment {
            home: absolute("HOME"),
            xdg_data: absolute("XDG_DATA_HOME"),
            programs: programs.unwrap_or_default(),
            java_home: absolute("JAVA_HOME"),
            no_proxy: env::var("NO_PROXY").or_else(|_unset| env::var("no_proxy")).ok(),
            java_options: env::var("JAVA_TOOL_OPTIONS").ok(),
            wgetrc: absolute("WGETRC"),
            variables: env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        }
    }

    /// A variable that is set, and not to nothing.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl Folders {
    /// Those of this process.
    pub fn of_process() -> Folders {
        // The XDG specification: a relative path is to be ignored.
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Folders {
            home: absolute("HOME"),
            xdg_cache: absolute("XDG_CACHE_HOME"),
            xdg_config: absolute("XDG_CONFIG_HOME"),
            xdg_data: absolute("XDG_DATA_HOME"),
            is_root: rustix::process::geteuid().is_root(),
            etc: "/etc".into(),
        }
    }

    /// Where the cache is, unless the configuration says otherwise.
    pub fn cache_dir(&self) -> Result<PathBuf, ConfigError> {
        if let Some(cache) = &self.xdg_cache {
            return Ok(cache.join("larder"));
        }
        if self.is_root {
            return Ok("/var/cache/larder".into());
        }
        self.home.as_ref().map(|home| home.join(".cache/larder")).ok_or(ConfigError::NoCacheDir)
    }

    /// Where the authority is: data and not cache, since others trust it.
    fn ca_dir(&self) -> Result<PathBuf, ConfigError> {
        if let Some(data) = &self.xdg_data {
            return Ok(data.join("larder/ca"));
        }
        if self.is_root {
            return Ok("/var/lib/larder/ca".into());
        }
        self.home.as_ref().map(|home| home.join(".local/share/larder/ca")).ok_or(ConfigError::NoCaDir)
    }

    /// Where a configuration file is looked for when none is named.
    fn config_files(&self) -> impl Iterator<Item = PathBuf> {
        let xdg = self.xdg_config.clone().or_else(|| Some(self.home.as_ref()?.join(".config")));
        [Some(self.etc.clone()), xdg].into_iter().flatten().map(|folder| folder.join("larder/larder.toml"))
    }
}

/// Loads everything: the file (`file`, else the first one that exists), what overrides it, the
/// defaults below both, and the list files that it names.
pub fn load(file: Option<&Path>, overrides: &Overrides, folders: &Folders) -> Result<Settings, ConfigError> {
    let (settings, text) = load_file(file, overrides, folders)?;
    let lists = settings.access.lists.iter().map(|path| match read(path, LIST_SIZE_MAX) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(error) => Err(at_key(settings.file.as_deref(), &text, "access.lists", error)),
    });
    let lists = lists.collect::<Result<_, ConfigError>>()?;
    Ok(Settings { lists, ..settings })
}

/// Loads everything but the list files: enough to find a running Larder.
pub fn load_without_lists(
    file: Option<&Path>,
    overrides: &Overrides,
    folders: &Folders,
) -> Result<Settings, ConfigError> {
    load_file(file, overrides, folders).map(|(settings, _)| settings)
}

fn load_file(
    file: Option<&Path>,
    overrides: &Overrides,
    folders: &Folders,
) -> Result<(Settings, String), ConfigError> {
    let (file, text) = match file {
        Some(file) => (Some(file.to_owned()), read(file, FILE_SIZE_MAX)?),
        None => first_file(folders)?,
    };
    let mut config = match &file {
        Some(file) => parse(file, &text)?,
        None => Config::default(),
    };
    apply(&mut config, overrides);
    config.check().map_err(|Finding { key, message }| ConfigError::Value { key, message })?;
    let cache_dir = match &config.cache.dir {
        Some(dir) => dir.clone(),
        None => folders.cache_dir()?,
    };
    let ca_dir = match (&config.intercept.ca_dir, folders.ca_dir()) {
        (Some(dir), _) => dir.clone(),
        (None, Ok(dir)) => dir,
        // Who needs none is not kept from starting; beside the cache is as good as anywhere.
        (None, Err(_)) if !config.needs_authority() => cache_dir.join("ca"),
        (None, Err(error)) => return Err(error),
    };
    Ok((Settings::new(file, cache_dir, ca_dir, config), text))
}

fn first_file(folders: &Folders) -> Result<(Option<PathBuf>, String), ConfigError> {
    for path in folders.config_files() {
        match read(&path, FILE_SIZE_MAX) {
            Ok(text) => return Ok((Some(path), text)),
            Err(ConfigError::Read { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((None, String::new()))
}

/// Parses the text of a configuration file; errors name the place in it.
pub fn parse(file: &Path, text: &str) -> Result<Config, ConfigError> {
    let place = |diagnosis| ConfigError::Place(Box::new(diagnosis));
    let mut config: Config =
        toml::from_str(text).map_err(|error| place(Diagnosis::of(file, text, &error)))?;
    config.check().map_err(|Finding { key, message }| {
        match Diagnosis::of_key(file, text, key, &message) {
            Some(diagnosis) => place(diagnosis),
            // The default of a key clashes with another key of the file.
            None => ConfigError::Value { key, message },
        }
    })?;
    // A path in the file is relative to the file: the daemon's working folder is nobody's idea.
    let folder = file.parent().unwrap_or(Path::new(""));
    config.cache.dir = config.cache.dir.map(|dir| folder.join(dir));
    config.intercept.ca_dir = config.intercept.ca_dir.map(|dir| folder.join(dir));
    config.intercept.extra_roots =
        config.intercept.extra_roots.iter().map(|roots| folder.join(roots)).collect();
    config.intercept.roots = config.intercept.roots.map(|bundle| folder.join(bundle));
    config.tls.certificate = config.tls.certificate.map(|file| folder.join(file));
    config.tls.key = config.tls.key.map(|file| folder.join(file));
    for disk in &mut config.cache.disks {
        disk.dir = folder.join(&disk.dir);
    }
    config.access.lists = config.access.lists.iter().map(|list| folder.join(list)).collect();
    if let AccessLog::File(path) = &mut config.log.access {
        *path = folder.join(&*path);
    }
    Ok(config)
}

fn apply(config: &mut Config, overrides: &Overrides) {
    let Overrides {
        listen,
        admin,
        cache_dir,
        memory,
        disk,
        access_log,
        log_format,
        log_level,
        intercept,
        offline,
        extra_roots,
    } = overrides.clone();
    config.intercept.extra_roots.extend(extra_roots);
    if !listen.is_empty() {
        config.server.listen = listen;
    }
    replace(&mut config.server.admin, admin);
    replace(&mut config.cache.memory, memory);
    // Said on the command line, it is said instead of the folders of the file.
    if disk.is_some() {
        config.cache.disks = Vec::new();
    }
    replace(&mut config.cache.disk, disk);
    replace(&mut config.log.access, access_log);
    replace(&mut config.log.format, log_format);
    replace(&mut config.log.level, log_level);
    config.cache.dir = cache_dir.or_else(|| config.cache.dir.take());
    config.intercept.enabled |= intercept;
    config.cache.offline |= offline;
}

fn replace<T>(value: &mut T, with: Option<T>) {
    if let Some(with) = with {
        *value = with;
    }
}

/// A whole text file. What is not UTF-8 in it is replaced, and is then no valid value.
fn read(path: &Path, max: u64) -> Result<String, ConfigError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > max) {
        return Err(ConfigError::TooLarge { path: path.to_owned(), max });
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// An error of a file that the configuration names, at the place where it does.
fn at_key(file: Option<&Path>, text: &str, key: &str, error: ConfigError) -> ConfigError {
    let diagnosis = file.and_then(|file| Diagnosis::of_key(file, text, key, &error.to_string()));
    diagnosis.map_or(error, |diagnosis| ConfigError::Place(Box::new(diagnosis)))
}
