//! Keeps other pages of the same browser from driving this one.
//!
//! A page elsewhere may send requests to a loopback address, and a name that resolves to it (DNS
//! rebinding) makes its origin look like ours. So the `Host` that was asked for must be this
//! machine's, an `Origin` the same, and what changes anything carries a header that a foreign page
//! cannot send without being asked first.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};

/// The header by which a page says which of several it is.
pub const PAGE: &str = "x-cigan-page";

/// Who may ask.
#[derive(Debug, Clone)]
pub struct Guard {
    address: SocketAddr,
}

impl Guard {
    /// For the address that is listened at.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Whether a request comes from our own page, or from no page at all.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
        let text = |name| headers.get(name).map(|v| v.to_str().unwrap_or("\u{fffd}"));
        let host = text(HOST).ok_or("no Host")?;
        if headers.get_all(HOST).iter().count() > 1 || !self.is_ours(host) {
            return Err("a Host that is not this machine");
        }
        if let Some(origin) = text(ORIGIN)
            && origin.strip_prefix("http://") != Some(host)
        {
            return Err("another page's Origin");
        }
        if let Some(site) = headers.get("sec-fetch-site")
            && !(site == "same-origin" || (site == "none" && method == Method::GET))
            && !(method == Method::GET
                && headers.get("sec-fetch-mode").is_some_and(|m| m == "navigate"))
        {
            return Err("another page");
        }
        if method != Method::GET && page(headers).is_none() {
            return Err("no name of a page");
        }
        Ok(())
    }

    /// Loopback names where loopback is listened at; else any address in numbers, since only names
    /// can be made to point here.
    fn is_ours(&self, host: &str) -> bool {
        let port = self.address.port();
        let (name, given) = match host.rsplit_once(':') {
            Some((name, digits)) if !digits.ends_with(']') => match digits.parse::<u16>() {
                Ok(given) => (name, given),
                Err(_) => return false,
            },
            _ => (host, 80),
        };
        if given != port {
            return false;
        }
        let name = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        match name.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || !self.address.ip().is_loopback(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// What the page calls itself.
pub fn page(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(PAGE)?.to_str().ok()?;
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(listens: &str, method: Method, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Guard::new(listens.parse().unwrap()).check(&method, &map).is_ok()
    }

    #[test]
    fn only_this_machine_is_asked_for() {
        let get = |listens: &str, host: &str| asked(listens, Method::GET, &[("host", host)]);
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
        // Open to the network: by number, but never by a name that somebody else controls.
        assert!(get("0.0.0.0:8017", "192.168.1.7:8017"));
        assert!(!get("0.0.0.0:8017", "evil.example:8017"));
        assert!(!asked(loopback, Method::GET, &[]));
        let two = [("host", "localhost:8017"), ("host", "evil.example")];
        assert!(!asked(loopback, Method::GET, &two));
    }

    #[test]
    fn other_pages_are_refused() {
        let host = ("host", "localhost:8017");
        let post = |more: &[(&'static str, &str)]| {
            let all: Vec<_> = [host].iter().chain(more).copied().collect();
            asked("127.0.0.1:8017", Method::POST, &all)
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
        // A link from elsewhere may open the page, but not be read by the one it stands in.
        let get = |mode: &str| {
            let headers = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode)];
            asked("127.0.0.1:8017", Method::GET, &headers)
        };
        assert!(get("navigate") && !get("no-cors") && !get("cors"));
    }
}
