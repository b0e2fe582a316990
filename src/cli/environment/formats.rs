//! Variables as shells and tools read them.

use std::path::Path;

use super::files::apt;
use super::variables::Variables;

/// How `larder env` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EnvFormat {
    /// For `eval "$(larder env)"`
    #[default]
    Sh,
    /// For `larder env --format fish | source`
    Fish,
    /// For `larder env --format github >> "$GITHUB_ENV"`
    Github,
    /// For `docker run --env-file`
    Docker,
    /// settings.xml
    Maven,
    /// gradle.properties
    Gradle,
    /// apt.conf
    Apt,
}

/// The lines.
pub(super) fn laid_out(variables: &Variables, format: EnvFormat) -> Vec<String> {
    let of_each = |line: fn(&str, &str) -> String| -> Vec<String> {
        variables.list().iter().map(|(name, value)| line(name, value)).collect()
    };
    match format {
        EnvFormat::Sh => of_each(|name, value| format!("export {name}={}", in_quotes(value, "'\\''"))),
        EnvFormat::Fish => of_each(|name, value| {
            format!("set -gx {name} {}", in_quotes(&value.replace('\\', "\\\\"), "\\'"))
        }),
        EnvFormat::Github => of_each(|name, value| format!("{name}={value}")),
        EnvFormat::Docker => docker(variables),
        EnvFormat::Maven => maven(variables),
        EnvFormat::Gradle => {
            let properties = variables.java_properties();
            properties.iter().map(|(name, value)| format!("systemProp.{name}={value}")).collect()
        }
        EnvFormat::Apt => {
            let proxy = |scheme: &str| format!("Acquire::{scheme}::Proxy \"{}/\";", variables.url());
            let trust = variables.files.iter().map(|files| apt(&files.bundle));
            ["http", "https"].map(proxy).into_iter().chain(trust).collect()
        }
    }
}

/// In single quotes, with `quote` for each within.
fn in_quotes(value: &str, quote: &str) -> String {
    format!("'{}'", value.replace('\'', quote))
}

/// A container has files of its own: those of the authority are mounted where they are outside.
fn docker(variables: &Variables) -> Vec<String> {
    let mut options = vec!["--env-file FILE".to_owned()];
    if variables.proxy.is_loopback() {
        options.push("--network host".to_owned());
    }
    let folder = variables.files.as_ref().and_then(|files| files.bundle.parent());
    options.extend(folder.map(mount));
    options.extend(variables.files.as_ref().map(|files| mount(&files.certificate)));
    let mut lines = vec![format!("# docker run {}", options.join(" "))];
    lines.extend(variables.list().iter().map(|(name, value)| format!("{name}={value}")));
    lines
}

fn mount(path: &Path) -> String {
    format!("--volume {0}:{0}:ro", path.display())
}

fn maven(variables: &Variables) -> Vec<String> {
    let (host, port) = (variables.proxy.host(), variables.proxy.port());
    let properties = variables.java_properties();
    let direct = properties.iter().find(|(name, _)| *name == "http.nonProxyHosts");
    let direct = direct.map(|(_, hosts)| hosts.as_str()).unwrap_or_default();
    let mut lines = vec!["<settings>".to_owned()];
    if variables.files.is_some() {
        lines
            .push("  <!-- What is trusted, the JVM learns from JAVA_TOOL_OPTIONS: larder env -->".to_owned());
    }
    lines.push("  <proxies>".to_owned());
    for protocol in ["http", "https"] {
        lines.push(format!(
            "    <proxy><id>larder-{protocol}</id><active>true</active><protocol>{protocol}</protocol>\
             <host>{host}</host><port>{port}</port><nonProxyHosts>{direct}</nonProxyHosts></proxy>"
        ));
    }
    lines.extend(["  </proxies>".to_owned(), "</settings>".to_owned()]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn lines(no_proxy: &str, format: EnvFormat) -> Vec<String> {
        let variables = Variables {
            proxy: "127.0.0.1:3128".parse().expect("an address"),
            no_proxy: Some(no_proxy.to_owned()),
            files: None,
            environment: Environment::default(),
        };
        laid_out(&variables, format)
    }

    #[test]
    fn each_format_reads_its_values_back() {
        let cases = [
            (EnvFormat::Sh, "it's a\\b", "export no_proxy='it'\\''s a\\b'"),
            (EnvFormat::Fish, "it's a\\b", "set -gx no_proxy 'it\\'s a\\\\b'"),
            (EnvFormat::Github, "a.example", "no_proxy=a.example"),
            (EnvFormat::Docker, "a.example", "# docker run --env-file FILE --network host"),
            (EnvFormat::Docker, "a.example", "no_proxy=a.example"),
            (
                EnvFormat::Gradle,
                "a.example,.b.example",
                "systemProp.http.nonProxyHosts=a.example|*.b.example",
            ),
            (EnvFormat::Apt, "a.example", "Acquire::https::Proxy \"http://127.0.0.1:3128/\";"),
            (
                EnvFormat::Maven,
                "a.example",
                "    <proxy><id>larder-https</id><active>true</active><protocol>https</protocol>\
                 <host>127.0.0.1</host><port>3128</port><nonProxyHosts>a.example</nonProxyHosts></proxy>",
            ),
        ];
        for (format, no_proxy, expected) in cases {
            let lines = lines(no_proxy, format);
            assert!(lines.iter().any(|line| line == expected), "{format:?}: {lines:#?}");
        }
    }
}
