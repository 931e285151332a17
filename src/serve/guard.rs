//! Rejects requests that other web pages send (CSRF and DNS rebinding).
//!
//! Any web page can send requests to a loopback address, and a host name that resolves to it (DNS
//! rebinding) makes the page's origin look like ours. Therefore `Host` must be this machine, an
//! `Origin` must match it, and every request other than GET must have a header that a page of
//! another origin cannot send without a CORS preflight.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};

/// Header with the identifier of the page, which differs between tabs.
pub const PAGE: &str = "x-cigan-page";

/// Decides which requests are accepted.
#[derive(Debug, Clone)]
pub struct Guard {
    address: SocketAddr,
}

impl Guard {
    /// Creates a guard for the address that the server listens on.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Accepts requests of our page and of programs that are not browsers.
    ///
    /// # Errors
    /// If the request comes from another page or another host name; the error is the reason.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Cow<'static, str>> {
        let text = |name| headers.get(name).map(|v| v.to_str().unwrap_or("\u{fffd}"));
        let host = text(HOST).ok_or("the Host header is missing")?;
        let one = headers.get_all(HOST).iter().count() == 1;
        if !one || !self.is_ours(host) {
            return Err(match self.port_of(host).filter(|&port| one && port != self.port()) {
                // A tunnel from another port, or a container's, is the usual reason.
                Some(port) => format!(
                    "the request is for port {port}, but the page is on port {}",
                    self.port()
                )
                .into(),
                None if !self.address.ip().is_loopback() => {
                    "the Host header is a name; open the page by the IP address of this machine"
                        .into()
                }
                None => "the Host header is not an address of this machine".into(),
            });
        }
        if let Some(origin) = text(ORIGIN)
            && origin.strip_prefix("http://") != Some(host)
        {
            return Err("the Origin header belongs to another page".into());
        }
        if let Some(site) = headers.get("sec-fetch-site")
            && !(site == "same-origin" || (site == "none" && method == Method::GET))
            && !(method == Method::GET
                && headers.get("sec-fetch-mode").is_some_and(|m| m == "navigate"))
        {
            return Err("the request comes from another page".into());
        }
        if method != Method::GET && page(headers).is_none() {
            return Err("the x-cigan-page header of the page is missing or invalid".into());
        }
        Ok(())
    }

    /// The port that the server listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Whether `host` is this server: `localhost` and loopback addresses always are. Any other IP
    /// address is if the server does not listen on loopback, since DNS rebinding needs a name.
    fn is_ours(&self, host: &str) -> bool {
        let (name, given) = match host.rsplit_once(':') {
            Some((name, digits)) if !digits.ends_with(']') => match digits.parse::<u16>() {
                Ok(given) => (name, given),
                Err(_) => return false,
            },
            _ => (host, 80),
        };
        given == self.port() && self.is_named(name)
    }

    /// Whether this server is reached under the name or address in a Host header.
    fn is_named(&self, name: &str) -> bool {
        let name = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        match name.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || !self.address.ip().is_loopback(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// The port in a Host header that otherwise names this server.
    fn port_of(&self, host: &str) -> Option<u16> {
        let (name, port) = host.rsplit_once(':')?;
        port.parse().ok().filter(|_| self.is_named(name))
    }
}

/// The identifier of the page that sent a request; `None` if it is missing or invalid.
pub fn page(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(PAGE)?.to_str().ok()?;
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(address: &str, method: Method, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Guard::new(address.parse().unwrap()).check(&method, &map).is_ok()
    }

    #[test]
    fn the_host_must_be_this_machine() {
        let get = |address: &str, host: &str| accepted(address, Method::GET, &[("host", host)]);
        let loopback = "127.0.0.1:8017";
        for host in ["127.0.0.1:8017", "localhost:8017", "LOCALHOST:8017", "[::1]:8017"] {
            assert!(get(loopback, host), "{host}");
        }
        for host in [
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost",
            "evil.example:8017",
            "evil.example",
            "localhost.evil.example:8017",
            "10.0.0.5:8017",
            "127.0.0.1:8017:8017",
            "",
            ":8017",
            "localhost:",
            "[::1]",
            "127.0.0.1.evil.example:8017",
        ] {
            assert!(!get(loopback, host), "{host}");
        }
        assert!(get("127.0.0.1:80", "localhost"));
        // Open to the network: IP addresses are accepted, but no names that somebody else controls.
        assert!(get("0.0.0.0:8017", "192.168.1.7:8017"));
        assert!(!get("0.0.0.0:8017", "evil.example:8017"));
        assert!(!accepted(loopback, Method::GET, &[]));
        let two = [("host", "localhost:8017"), ("host", "evil.example")];
        assert!(!accepted(loopback, Method::GET, &two));
    }

    #[test]
    fn another_port_is_named() {
        let reason = |host: &str| {
            let mut map = HeaderMap::new();
            map.append("host", host.parse().unwrap());
            let guard = Guard::new("127.0.0.1:8017".parse().unwrap());
            guard.check(&Method::GET, &map).unwrap_err()
        };
        for host in ["localhost:9000", "127.0.0.1:9000", "[::1]:9000"] {
            let reason = reason(host);
            assert!(reason.contains("9000") && reason.contains("8017"), "{reason}");
        }
        // The name of another machine is not repeated.
        assert!(!reason("evil.example:9000").contains("9000"));
    }

    #[test]
    fn requests_of_other_pages_are_refused() {
        let host = ("host", "localhost:8017");
        let post = |more: &[(&'static str, &str)]| {
            let all: Vec<_> = [host].iter().chain(more).copied().collect();
            accepted("127.0.0.1:8017", Method::POST, &all)
        };
        let page = (PAGE, "a1b2");
        assert!(post(&[page]));
        assert!(post(&[page, ("origin", "http://localhost:8017")]));
        assert!(post(&[page, ("sec-fetch-site", "same-origin")]));
        assert!(!post(&[]));
        assert!(!post(&[(PAGE, "")]));
        assert!(!post(&[(PAGE, "a b")]));
        for origin in
            ["http://evil.example", "null", "https://localhost:8017", "http://localhost:1"]
        {
            assert!(!post(&[page, ("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", "none"] {
            assert!(!post(&[page, ("sec-fetch-site", site)]), "{site}");
        }
        // A link on another page may open this one, but the other page cannot read it.
        let get = |mode: &str| {
            let headers = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode)];
            accepted("127.0.0.1:8017", Method::GET, &headers)
        };
        assert!(get("navigate") && !get("no-cors") && !get("cors"));
    }
}
