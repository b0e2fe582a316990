//! The variables, and who reads them.

use std::path::PathBuf;

use super::super::trust::java::PASSWORD;
use super::proxy::ProxyAddress;
use crate::config::Environment;
use crate::http::Scheme;

/// Hosts that are asked directly where nobody has said which: this machine.
pub(in crate::cli) const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// Says to another `larder run`, and to the files of PHP, which proxy is Larder's.
pub(in crate::cli) const MARK: &str = "LARDER_RUN";

/// Where files for clients are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct ClientFiles {
    /// What the machine and the user trust, and the authority, in PEM.
    pub(in crate::cli) bundle: PathBuf,
    /// The authority alone, in PEM.
    pub(in crate::cli) certificate: PathBuf,
    /// The authority and what the user has added to what programs trust by themselves.
    pub(in crate::cli) extra: PathBuf,
    /// Settings for wget, those of the user included.
    pub(in crate::cli) wgetrc: PathBuf,
    /// Settings for apt.
    pub(in crate::cli) apt: PathBuf,
    /// Settings for Mercurial, which it reads behind those of the user.
    pub(in crate::cli) hgrc: PathBuf,
    /// A folder with settings for PHP, which it reads behind those of the system.
    pub(in crate::cli) php: PathBuf,
    /// A PKCS #12 keystore with the bundle, where there is a JVM.
    pub(in crate::cli) keystore: Option<PathBuf>,
}

/// What programs are told.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Variables {
    pub(super) proxy: ProxyAddress,
    /// As given; `None`: this machine.
    pub(super) no_proxy: Option<String>,
    /// With interception.
    pub(super) files: Option<ClientFiles>,
    /// What programs were told before.
    pub(super) environment: Environment,
}

impl Variables {
    /// All variables, in order.
    pub(in crate::cli) fn list(&self) -> Vec<(&'static str, String)> {
        let url = self.url();
        let mut list = Vec::new();
        // Programs differ in which case they read; curl reads `http_proxy` in lower case only.
        for name in PROXY {
            list.push((name, url.clone()));
        }
        for name in ["no_proxy", "NO_PROXY"] {
            list.push((name, self.no_proxy().to_owned()));
        }
        // Node 24, and 22 from 22.21 on, look at the variables above only with this.
        list.push(("NODE_USE_ENV_PROXY", "1".to_owned()));
        if let Some(files) = &self.files {
            let bundle = files.bundle.display();
            for name in BUNDLE {
                list.push((name, bundle.to_string()));
            }
            // Some programs can't use these at all, so that only who has set them is told another file.
            for name in REPLACED.into_iter().filter(|name| self.environment.variable(name).is_some()) {
                list.push((name, bundle.to_string()));
            }
            for name in ADDING {
                list.push((name, files.extra.display().to_string()));
            }
            list.push(("WGETRC", files.wgetrc.display().to_string()));
            list.push(("APT_CONFIG", files.apt.display().to_string()));
            list.push(("HGRCPATH", self.hgrc_path(files)));
            // An empty path stands for the system's folder.
            let before = self.environment.variable("PHP_INI_SCAN_DIR").unwrap_or_default();
            let own = files.php.display().to_string();
            let before = before.strip_suffix(&own).map_or(before, |rest| rest.trim_end_matches(':'));
            list.push(("PHP_INI_SCAN_DIR", format!("{before}:{own}")));
        }
        list.push((MARK, url));
        // The JVM knows no proxies within TLS.
        if self.proxy.scheme() == Scheme::Http {
            list.push(("JAVA_TOOL_OPTIONS", self.java_tool_options()));
        }
        list
    }

    pub(super) fn url(&self) -> String {
        self.proxy.to_string()
    }

    /// What Mercurial has read so far, which names all of it or nothing, and its settings for the proxy.
    fn hgrc_path(&self, files: &ClientFiles) -> String {
        let own = files.hgrc.display().to_string();
        let home = self.environment.home.as_ref().map(|home| home.display().to_string()).unwrap_or_default();
        let config = self.environment.variable("XDG_CONFIG_HOME").map(str::to_owned);
        let config = config.unwrap_or_else(|| format!("{home}/.config"));
        let default = || format!("/etc/mercurial/hgrc:/etc/mercurial/hgrc.d:{home}/.hgrc:{config}/hg/hgrc");
        let before = self.environment.variable("HGRCPATH").map_or_else(default, str::to_owned);
        let parts = before.split(':').filter(|part| *part != own);
        parts.chain([own.as_str()]).collect::<Vec<_>>().join(":")
    }

    pub(super) fn no_proxy(&self) -> &str {
        self.no_proxy.as_deref().unwrap_or(NO_PROXY)
    }

    /// The JVM's properties, each a name and its value.
    pub(super) fn java_properties(&self) -> Vec<(&'static str, String)> {
        let (host, port) = (self.proxy.host(), self.proxy.port().to_string());
        let mut properties = Vec::new();
        for [host_name, port_name] in
            [["http.proxyHost", "http.proxyPort"], ["https.proxyHost", "https.proxyPort"]]
        {
            properties.push((host_name, host.clone()));
            properties.push((port_name, port.clone()));
        }
        properties.push(("http.nonProxyHosts", self.java_hosts()));
        if let Some(keystore) = self.files.as_ref().and_then(|files| files.keystore.as_ref()) {
            properties.push(("javax.net.ssl.trustStore", keystore.display().to_string()));
            properties.push(("javax.net.ssl.trustStoreType", "PKCS12".to_owned()));
            properties.push(("javax.net.ssl.trustStorePassword", PASSWORD.to_owned()));
        }
        properties
    }

    /// The hosts of `no_proxy` as the JVM reads them.
    fn java_hosts(&self) -> String {
        let hosts = self.no_proxy().split(',').map(str::trim).filter(|host| !host.is_empty());
        let hosts = hosts.map(|host| match host.strip_prefix('.') {
            Some(domain) => format!("*.{domain}"),
            None if host.contains(':') => format!("[{host}]"),
            None => host.to_owned(),
        });
        hosts.collect::<Vec<_>>().join("|")
    }

    fn java_tool_options(&self) -> String {
        // Behind what was there: the JVM takes the last one of a name.
        let before = self.environment.java_options.iter().cloned();
        let properties = self.java_properties();
        let options = properties.iter().map(|(name, value)| match value.contains([' ', '|', '*']) {
            true => format!("\"-D{name}={value}\""),
            false => format!("-D{name}={value}"),
        });
        before.chain(options).collect::<Vec<_>>().join(" ")
    }
}

/// What names the proxy.
const PROXY: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    // Yarn from 2 on reads none of those.
    "YARN_HTTP_PROXY",
    "YARN_HTTPS_PROXY",
];

/// What names a file that is trusted besides what the program trusts by itself.
pub(super) const ADDING: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// As [`BUNDLE`], where the user has set it. With `AWS_CA_BUNDLE` rclone fails altogether, and what else
/// reads it (aws, boto3) reads `REQUESTS_CA_BUNDLE` too.
pub(super) const REPLACED: [&str; 1] = ["AWS_CA_BUNDLE"];

/// What names a file with all that is trusted.
pub(super) const BUNDLE: [&str; 14] = [
    // OpenSSL, Python's ssl, Ruby, Go, rustls, uv.
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "GIT_SSL_CAINFO",
    "NPM_CONFIG_CAFILE",
    "NIX_SSL_CERT_FILE",
    // Google's command line, and gRPC.
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "PERL_LWP_SSL_CA_FILE",
    "YARN_HTTPS_CA_FILE_PATH",
    "BUNDLE_SSL_CA_CERT",
    // Google's httplib2.
    "HTTPLIB2_CA_CERTS",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(no_proxy: Option<&str>, files: Option<ClientFiles>) -> Variables {
        Variables {
            proxy: "127.0.0.1:3128".parse().expect("an address"),
            no_proxy: no_proxy.map(str::to_owned),
            files,
            environment: Environment { java_options: Some("-Xmx1g".to_owned()), ..Environment::default() },
        }
    }

    fn files() -> ClientFiles {
        let path = |name: &str| std::path::PathBuf::from(format!("/ca/clients/{name}"));
        ClientFiles {
            bundle: path("bundle.pem"),
            certificate: "/ca/ca.pem".into(),
            extra: path("extra.pem"),
            wgetrc: path("wgetrc"),
            apt: path("apt.conf"),
            hgrc: path("hgrc"),
            php: path("php"),
            keystore: Some(path("it.p12")),
        }
    }

    fn value<'a>(list: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
        list.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn programs_find_the_proxy_and_what_to_trust() {
        let list = variables(Some("a.example,.b.example,::1"), Some(files())).list();
        let cases = [
            ("http_proxy", "http://127.0.0.1:3128"),
            ("HTTPS_PROXY", "http://127.0.0.1:3128"),
            ("NO_PROXY", "a.example,.b.example,::1"),
            ("SSL_CERT_FILE", "/ca/clients/bundle.pem"),
            ("NODE_EXTRA_CA_CERTS", "/ca/clients/extra.pem"),
            ("ALL_PROXY", "http://127.0.0.1:3128"),
            ("YARN_HTTPS_PROXY", "http://127.0.0.1:3128"),
            ("BUNDLE_SSL_CA_CERT", "/ca/clients/bundle.pem"),
            ("PHP_INI_SCAN_DIR", ":/ca/clients/php"),
            ("LARDER_RUN", "http://127.0.0.1:3128"),
            ("WGETRC", "/ca/clients/wgetrc"),
            (
                "JAVA_TOOL_OPTIONS",
                "-Xmx1g -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 -Dhttps.proxyHost=127.0.0.1 \
                 -Dhttps.proxyPort=3128 \"-Dhttp.nonProxyHosts=a.example|*.b.example|[::1]\" \
                 -Djavax.net.ssl.trustStore=/ca/clients/it.p12 -Djavax.net.ssl.trustStoreType=PKCS12 \
                 -Djavax.net.ssl.trustStorePassword=changeit",
            ),
        ];
        for (name, expected) in cases {
            assert_eq!(value(&list, name), Some(expected), "{name}");
        }
        assert_eq!(value(&list, "AWS_CA_BUNDLE"), None, "rclone can't use it");
    }

    #[test]
    fn what_was_set_before_stays_in_force() {
        let mut variables = variables(None, Some(files()));
        let set =
            [("HGRCPATH", "/my/hgrc"), ("PHP_INI_SCAN_DIR", "/my/php"), ("AWS_CA_BUNDLE", "/my/ca.pem")];
        variables.environment.variables = set.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let expected = [
            ("HGRCPATH", "/my/hgrc:/ca/clients/hgrc"),
            ("PHP_INI_SCAN_DIR", "/my/php:/ca/clients/php"),
            ("AWS_CA_BUNDLE", "/ca/clients/bundle.pem"),
        ];
        for _nested in 0..2 {
            let list = variables.list();
            for (name, expected) in expected {
                assert_eq!(value(&list, name), Some(expected), "{name}");
            }
            variables.environment.variables =
                list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        }
    }

    #[test]
    fn without_interception_nothing_is_said_of_trust() {
        let list = variables(None, None).list();
        assert_eq!(value(&list, "no_proxy"), Some(NO_PROXY));
        for (name, value) in &list {
            assert!(!value.contains("/ca"), "{name}={value}");
        }
    }
}
