use super::{SECRET, assert_hides_secret};
use crate::portal::PortalAddress;
use crate::strict_url;

/// Reads three lines as a company, a domain and a base URL. Errors repeat nothing of them.
pub(super) fn portal(input: &[u8]) {
    let text = super::text(input);
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (company, domain, url) = (next(), Some(next()).filter(|domain| !domain.is_empty()), next());
    match PortalAddress::of_company(company, domain) {
        Ok(portal) => {
            assert!(portal.is_https() && portal.port() == 443 && !portal.is_loopback());
            assert_eq!(PortalAddress::of_company(portal.host(), domain).ok().as_ref(), Some(&portal));
            check(&portal);
        }
        Err(error) => assert_hides_secret(&error),
    }
    match PortalAddress::at(url, None) {
        Ok(portal) => {
            assert!(portal.is_https() || portal.is_loopback());
            let host = portal.host().trim_matches(['[', ']']);
            assert!(
                url.to_ascii_lowercase().contains(host) || host.contains(':'),
                "{portal} is not in {url:?}"
            );
            check(&portal);
        }
        Err(error) => assert_hides_secret(&error),
    }
    if let Some(url) = strict_url::parse(url) {
        let authority = url.host_str().unwrap_or_default();
        assert!(!authority.is_empty() && !authority.contains('@'));
    }
}

fn check(portal: &PortalAddress) {
    assert_eq!(PortalAddress::at(portal.base_url(), portal.company()).ok().as_ref(), Some(portal));
    assert!(portal.base_url().ends_with("/santaba/rest"));
    let url = portal.url("/setting/admins", &[("filter", SECRET)]);
    assert_eq!((url.host_str(), url.port_or_known_default()), (Some(portal.host()), Some(portal.port())));
}
