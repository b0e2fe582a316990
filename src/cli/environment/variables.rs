//! The variables, and who reads them.

use std::net::SocketAddr;

use super::super::trust::java::PASSWORD;
use super::files::ClientFiles;
use crate::http::Scheme;

/// Hosts that are asked directly where nobody has said which: this machine.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// What programs are told.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Variables {
    /// `https`: the connection to the proxy itself is within TLS.
    pub(super) scheme: Scheme,
    pub(super) proxy: SocketAddr,
    /// As given; `None`: this machine.
    pub(super) no_proxy: Option<String>,
    /// With interception.
    pub(super) files: Option<ClientFiles>,
    /// What the JVM was told before.
    pub(super) java_options: Option<String>,
}

impl Variables {
    /// All variables, in order.
    pub(in crate::cli) fn list(&self) -> Vec<(&'static str, String)> {
        let url = self.url();
        let mut list = Vec::new();
        // Programs differ in which case they read; curl reads `http_proxy` in lower case only.
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            list.push((name, url.clone()));
        }
        for name in ["no_proxy", "NO_PROXY"] {
            list.push((name, self.no_proxy().to_owned()));
        }
        // Node 24, and 22 from 22.21 on, look at the variables above only with this.
        list.push(("NODE_USE_ENV_PROXY", "1".to_owned()));
        if let Some(files) = &self.files {
            let (bundle, certificate) = (files.bundle.display(), files.certificate.display());
            for name in BUNDLE {
                list.push((name, bundle.to_string()));
            }
            for name in ["NODE_EXTRA_CA_CERTS", "DENO_CERT"] {
                list.push((name, certificate.to_string()));
            }
            list.push(("WGETRC", files.wgetrc.display().to_string()));
            list.push(("APT_CONFIG", files.apt.display().to_string()));
        }
        // The JVM knows no proxies within TLS.
        if self.scheme == Scheme::Http {
            list.push(("JAVA_TOOL_OPTIONS", self.java_tool_options()));
        }
        list
    }

    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.proxy)
    }

    pub(super) fn no_proxy(&self) -> &str {
        self.no_proxy.as_deref().unwrap_or(NO_PROXY)
    }

    /// The JVM's properties, each a name and its value.
    pub(super) fn java_properties(&self) -> Vec<(&'static str, String)> {
        let (host, port) = (self.proxy.ip().to_string(), self.proxy.port().to_string());
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
        let before = self.java_options.iter().cloned();
        let properties = self.java_properties();
        let options = properties.iter().map(|(name, value)| match value.contains([' ', '|', '*']) {
            true => format!("\"-D{name}={value}\""),
            false => format!("-D{name}={value}"),
        });
        before.chain(options).collect::<Vec<_>>().join(" ")
    }
}

/// What names a file with all that is trusted.
const BUNDLE: [&str; 13] = [
    // OpenSSL, Python's ssl, Ruby, Go, rustls, uv.
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "GIT_SSL_CAINFO",
    "NPM_CONFIG_CAFILE",
    "AWS_CA_BUNDLE",
    "NIX_SSL_CERT_FILE",
    // Google's command line, and gRPC.
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "PERL_LWP_SSL_CA_FILE",
    "YARN_HTTPS_CA_FILE_PATH",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(no_proxy: Option<&str>, files: Option<ClientFiles>) -> Variables {
        Variables {
            scheme: Scheme::Http,
            proxy: "127.0.0.1:3128".parse().expect("an address"),
            no_proxy: no_proxy.map(str::to_owned),
            files,
            java_options: Some("-Xmx1g".to_owned()),
        }
    }

    fn files() -> ClientFiles {
        let path = |name: &str| std::path::PathBuf::from(format!("/ca/clients/{name}"));
        ClientFiles {
            bundle: path("bundle.pem"),
            certificate: "/ca/ca.pem".into(),
            wgetrc: path("wgetrc"),
            apt: path("apt.conf"),
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
            ("NODE_EXTRA_CA_CERTS", "/ca/ca.pem"),
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
