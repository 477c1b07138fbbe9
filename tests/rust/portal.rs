//! Addresses of portals: company names, domains and base URLs.

use lmtokens::testing::error::ErrorKind;
use lmtokens::testing::portal::PortalAddress;
use proptest::prelude::*;

fn of_company(company: &str, domain: Option<&str>) -> Option<String> {
    match PortalAddress::of_company(company, domain) {
        Ok(portal) => Some(portal.base_url().to_owned()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Configuration, "{company:?}");
            None
        }
    }
}

#[test]
fn companies_are_accepted_in_every_common_form() {
    for (given, host) in [
        ("acme", "acme.logicmonitor.com"),
        ("ACME", "acme.logicmonitor.com"),
        (" acme\n", "acme.logicmonitor.com"),
        ("acme-2", "acme-2.logicmonitor.com"),
        ("acme_test", "acme_test.logicmonitor.com"),
        ("4acme", "4acme.logicmonitor.com"),
        ("acme.logicmonitor.com", "acme.logicmonitor.com"),
        ("Acme.LogicMonitor.Com", "acme.logicmonitor.com"),
        ("https://acme.logicmonitor.com", "acme.logicmonitor.com"),
        ("https://acme.logicmonitor.com:443/", "acme.logicmonitor.com"),
        ("HTTPS://ACME.LOGICMONITOR.COM/", "acme.logicmonitor.com"),
        ("https://acme.logicmonitor.com/santaba/uiv4/settings?tab=1#api-tokens", "acme.logicmonitor.com"),
        ("https://acme.logicmonitor.com/santaba/rest", "acme.logicmonitor.com"),
        ("https://acme.logicmonitor.com/santaba/uiv4?x=%40&mail=a@b#caf\u{e9}@%", "acme.logicmonitor.com"),
        ("https://acme.logicmonitor.com?next=//example.com/", "acme.logicmonitor.com"),
        ("https://acme.logicmonitor.com#@example.com", "acme.logicmonitor.com"),
        ("acme.logicmonitor.com?x", "acme.logicmonitor.com"),
        ("acme.logicmonitor.com/santaba/uiv4#me@example.com", "acme.logicmonitor.com"),
        ("acme.logicmonitor.com:443", "acme.logicmonitor.com"),
        ("acme.logicmonitor.com/", "acme.logicmonitor.com"),
        ("acme.logicmonitor.com/santaba/rest", "acme.logicmonitor.com"),
        ("ACME.logicmonitor.com.", "acme.logicmonitor.com"),
        ("acme.logicmonitor.com.:443/santaba/uiv4", "acme.logicmonitor.com"),
        ("https://acme.logicmonitor.com./", "acme.logicmonitor.com"),
        ("acme.lmgov.us", "acme.lmgov.us"),
        ("https://acme.lmgov.us/santaba/uiv4", "acme.lmgov.us"),
        ("acme.qa-lmgov.us", "acme.qa-lmgov.us"),
        ("logicmonitor", "logicmonitor.logicmonitor.com"),
    ] {
        let portal = PortalAddress::of_company(given, None).unwrap();
        assert_eq!(portal.base_url(), format!("https://{host}/santaba/rest"), "{given:?}");
        assert_eq!((portal.host(), portal.company()), (host, host.split('.').next()), "{given:?}");
        assert!(!portal.is_loopback());
        assert_eq!(portal.pinned_addresses(), None);
        assert_eq!(portal.to_string(), portal.base_url());
    }
}

#[test]
fn a_domain_may_be_set_or_pasted_or_both_if_they_agree() {
    for (company, domain, host) in [
        ("acme", "lmgov.us", Some("acme.lmgov.us")),
        ("acme", " LMGOV.US ", Some("acme.lmgov.us")),
        ("acme.lmgov.us", "lmgov.us", Some("acme.lmgov.us")),
        ("acme.qa-lmgov.us", "qa-lmgov.us", Some("acme.qa-lmgov.us")),
        ("acme.logicmonitor.com", "logicmonitor.com", Some("acme.logicmonitor.com")),
        ("https://acme.example.com/santaba", "example.com", Some("acme.example.com")),
        ("acme", "monitoring.example.com", Some("acme.monitoring.example.com")),
        ("acme", "acme.lmgov.us", Some("acme.lmgov.us")),
        ("acme.lmgov.us", "acme.lmgov.us", Some("acme.lmgov.us")),
        ("ACME", "Acme.LogicMonitor.com", Some("acme.logicmonitor.com")),
        ("acme", "acme.example.com", Some("acme.acme.example.com")),
        ("acme.logicmonitor.com", "lmgov.us", None),
        ("acme.lmgov.us", "logicmonitor.com", None),
        ("acme.lmgov.us", "qa-lmgov.us", None),
        ("acme.qa-lmgov.us", "lmgov.us", None),
        ("acme.example.com", "example.org", None),
        ("acme", "", None),
        ("acme", "com", None),
        ("acme", ".lmgov.us", None),
        ("acme", "lmgov.us.", Some("acme.lmgov.us")),
        ("acme", "lmgov.us/", Some("acme.lmgov.us")),
        ("acme", "lmgov.us..", None),
        ("acme", "lmgov..us", None),
        ("acme", "lmgov.us/x", None),
        ("acme", "lmgov.us:443", None),
        ("acme", "https://lmgov.us", None),
        ("acme", "user@lmgov.us", None),
        ("acme", "lmgov .us", None),
        ("acme", "-lmgov.us", None),
    ] {
        let wanted = host.map(|host| format!("https://{host}/santaba/rest"));
        assert_eq!(of_company(company, Some(domain)), wanted, "{company:?} {domain:?}");
    }
}

#[test]
fn invalid_companies_are_rejected_and_the_message_says_what_is_expected() {
    let long = "a".repeat(64);
    for refused in [
        "",
        " ",
        ".",
        "..",
        "acme/",
        "/acme",
        "acme/santaba",
        "acme\\",
        "acme@evil",
        "user@acme.logicmonitor.com",
        "acme:443",
        "acme.logicmonitor.com:8443",
        "acme.logicmonitor.com:443:443",
        "acme.logicmonitor.com..",
        "acme/x.logicmonitor.com",
        "example.com/acme.logicmonitor.com",
        "user@acme.logicmonitor.com/santaba",
        "acme.logicmonitor.com@example.com/acme.logicmonitor.com",
        "acme?x",
        "https://user:markerPart@acme.logicmonitor.com/?x",
        "user.name@acme.logicmonitor.com#x",
        "https://a.b@example.com?acme.logicmonitor.com",
        "acme#x",
        "ac me",
        "acme\n.logicmonitor.com",
        "acme%2elogicmonitor.com",
        "-acme",
        "acme-",
        "-acme.logicmonitor.com",
        ".acme",
        "acme.",
        "acme..logicmonitor.com",
        ".logicmonitor.com",
        "logicmonitor.com",
        "a.b.logicmonitor.com",
        "acme.example.com",
        "acme.logicmonitor.com.example.com",
        "acme.logicmonitor.community",
        "acme.notlogicmonitor.com",
        "acme.logicmonitor.com@example.com",
        "acm\u{e9}",
        "\u{430}cme",
        &long,
        "http://acme.logicmonitor.com",
        "ftp://acme.logicmonitor.com",
        "://acme.logicmonitor.com",
        "https://",
        "https://user@acme.logicmonitor.com/",
        "https://user:markerPart@acme.logicmonitor.com/",
        "https://acme.logicmonitor.com@example.com/",
        "https://@acme.logicmonitor.com/",
        "https://acme.logicmonitor.com:8443/",
        "https://acme.logicmonitor.com.example.com/",
        "https://example.com/acme.logicmonitor.com",
        "https://example.com\\.logicmonitor.com",
        "https://[::1]/",
        "https://127.0.0.1/",
        "127.0.0.1",
        "[::1]",
    ] {
        let error =
            PortalAddress::of_company(refused, None).map(|portal| portal.to_string()).expect_err(refused);
        assert_eq!(error.kind(), ErrorKind::Configuration, "{refused:?}");
        for accepted in ["company", "acme", "acme.logicmonitor.com", "domain"] {
            assert!(error.to_string().contains(accepted), "{refused:?}: {error}");
        }
    }
    assert!(of_company(&"a".repeat(63), None).is_some());
}

/// The host of a URL is never a company name: such a page does not belong to a portal.
#[test]
fn a_url_of_another_host_is_not_a_company() {
    for refused in ["https://intranet/santaba/rest", "https://localhost/santaba/rest", "https://acme/"] {
        assert_eq!(of_company(refused, None), None, "{refused:?}");
        assert_eq!(of_company(refused, Some("lmgov.us")), None, "{refused:?}");
    }
}

/// A credential passed as company would otherwise be sent to every name server on the way.
#[test]
fn a_credential_is_not_a_company() {
    let filling = "unitTest0".repeat(13);
    for refused in [
        format!("lmb_{}", &filling[..116]),
        format!("lma_{}", &filling[..116]),
        "unit+test(key)".to_owned(),
        "unit_test=key".to_owned(),
    ] {
        assert_eq!(of_company(&refused, None), None);
        assert_eq!(of_company("acme", Some(&refused)), None);
    }
}

fn at(base_url: &str) -> Option<PortalAddress> {
    PortalAddress::at(base_url, None)
        .inspect_err(|error| assert_eq!(error.kind(), ErrorKind::Configuration))
        .ok()
}

#[test]
fn plain_http_is_accepted_for_loopback_only() {
    for (accepted, base_url) in [
        ("http://127.0.0.1/santaba/rest", "http://127.0.0.1/santaba/rest"),
        ("http://127.0.0.1:8080/santaba/rest", "http://127.0.0.1:8080/santaba/rest"),
        ("http://127.1.2.3:1/santaba/rest", "http://127.1.2.3:1/santaba/rest"),
        ("http://127.255.255.255/santaba/rest", "http://127.255.255.255/santaba/rest"),
        ("http://[::1]:8080/santaba/rest", "http://[::1]:8080/santaba/rest"),
        ("http://localhost:8080/santaba/rest", "http://localhost:8080/santaba/rest"),
        ("HTTP://LOCALHOST/santaba/rest", "http://localhost/santaba/rest"),
        (" http://127.0.0.1/santaba/rest\n", "http://127.0.0.1/santaba/rest"),
        ("http://127.0.0.1/santaba/rest/", "http://127.0.0.1/santaba/rest"),
        ("http://127.0.0.1/santaba/rest//", "http://127.0.0.1/santaba/rest"),
        ("http://127.0.0.1/behind/santaba/rest", "http://127.0.0.1/behind/santaba/rest"),
    ] {
        let portal = at(accepted).unwrap_or_else(|| panic!("{accepted:?} was refused"));
        assert!(portal.is_loopback(), "{accepted:?}");
        assert_eq!(portal.base_url(), base_url);
    }
    for refused in [
        "http://acme.logicmonitor.com/santaba/rest",
        "http://127.0.0.1.example.com/santaba/rest",
        "http://localhost.example.com/santaba/rest",
        "http://localhost./santaba/rest",
        "http://localhost.localdomain/santaba/rest",
        "http://xlocalhost/santaba/rest",
        "http://ip6-localhost/santaba/rest",
        "http://sub.localhost/santaba/rest",
        "http://127.0.0.1@example.com/santaba/rest",
        "http://127.0.0.1:80@example.com/santaba/rest",
        "http://localhost@example.com/santaba/rest",
        "http://example.com\\@127.0.0.1/santaba/rest",
        "http://127.0.0.1\\@example.com/santaba/rest",
        "http://example.com#@127.0.0.1/santaba/rest",
        "http://example.com?@127.0.0.1/santaba/rest",
        "http://[::ffff:127.0.0.1]/santaba/rest",
        "http://[::127.0.0.1]/santaba/rest",
        "http://[::]/santaba/rest",
        "http://[::2]/santaba/rest",
        "http://[fe80::1]/santaba/rest",
        "http://0.0.0.0/santaba/rest",
        "http://0/santaba/rest",
        "http://10.0.0.1/santaba/rest",
        "http://126.255.255.255/santaba/rest",
        "http://128.0.0.1/santaba/rest",
        "http://192.168.0.1/santaba/rest",
        "http://169.254.169.254/santaba/rest",
        "http://\u{ff11}28.0.0.1/santaba/rest",
    ] {
        let error = PortalAddress::at(refused, None).map(|portal| portal.to_string()).expect_err(refused);
        for accepted in ["base_url", "https", "/santaba/rest", "127.0.0.1", "[::1]", "localhost"] {
            assert!(error.to_string().contains(accepted), "{refused:?}: {error}");
        }
    }
}

#[test]
fn base_urls_are_complete_and_contain_nothing_else() {
    for (accepted, base_url) in [
        ("https://acme.logicmonitor.com/santaba/rest", "https://acme.logicmonitor.com/santaba/rest"),
        ("https://acme.logicmonitor.com/santaba/rest/", "https://acme.logicmonitor.com/santaba/rest"),
        (
            "https://gateway.example.com:8443/lm/santaba/rest",
            "https://gateway.example.com:8443/lm/santaba/rest",
        ),
        ("https://10.0.0.1/santaba/rest", "https://10.0.0.1/santaba/rest"),
        ("https://[fe80::1]/santaba/rest", "https://[fe80::1]/santaba/rest"),
    ] {
        let portal = at(accepted).unwrap_or_else(|| panic!("{accepted:?} was refused"));
        assert_eq!((portal.base_url(), portal.is_loopback()), (base_url, false));
    }
    for refused in [
        "",
        "acme",
        "acme.logicmonitor.com/santaba/rest",
        "//acme.logicmonitor.com/santaba/rest",
        "https://",
        "https:///santaba/rest?",
        "https://user@acme.logicmonitor.com/santaba/rest",
        "https://user:markerPart@acme.logicmonitor.com/santaba/rest",
        "https://:markerPart@acme.logicmonitor.com/santaba/rest",
        "https://@acme.logicmonitor.com/santaba/rest",
        "https://:@acme.logicmonitor.com/santaba/rest",
        "https://acme.logicmonitor.com/santaba/rest?v=3",
        "https://acme.logicmonitor.com/santaba/rest?",
        "https://acme.logicmonitor.com/santaba/rest#top",
        "https://acme.logicmonitor.com/santaba/rest#",
        "https://acme.logicmonitor.com",
        "https://acme.logicmonitor.com/",
        "https://acme.logicmonitor.com/santaba",
        "https://acme.logicmonitor.com/rest",
        "https://acme.logicmonitor.com/xsantaba/rest",
        "https://acme.logicmonitor.com/santaba/rest/setting/admins",
        "https://acme.logicmonitor.com/santaba/rest/..",
        "https://acme.logicmonitor.com/santaba/rest/%2e%2e/x",
        "https://acme.logicmonitor.com:99999/santaba/rest",
        "ftp://127.0.0.1/santaba/rest",
        "file:///santaba/rest",
        "ws://127.0.0.1/santaba/rest",
        "unix:/santaba/rest",
    ] {
        let error = PortalAddress::at(refused, None).map(|portal| portal.to_string()).expect_err(refused);
        assert_eq!(error.kind(), ErrorKind::Configuration, "{refused:?}");
        assert!(error.to_string().contains("base_url"), "{error}");
        assert!(!error.to_string().contains("markerPart"), "{error}");
    }
}

#[test]
fn localhost_is_pinned_to_loopback() {
    let addresses = at("http://localhost:8080/santaba/rest").unwrap().pinned_addresses().unwrap();
    assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 8080));
    let addresses = at("https://localhost/santaba/rest").unwrap().pinned_addresses().unwrap();
    assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 443));
    assert_eq!(at("http://127.0.0.1/santaba/rest").unwrap().pinned_addresses(), None);
    assert_eq!(at("https://localhost.example.com/santaba/rest").unwrap().pinned_addresses(), None);
}

#[test]
fn a_company_with_a_base_url_is_only_a_display_name() {
    let portal = PortalAddress::at("http://127.0.0.1:8080/santaba/rest", Some("acme.lmgov.us")).unwrap();
    assert_eq!((portal.company(), portal.host()), (Some("acme"), "127.0.0.1"));
    assert_eq!(portal.to_string(), "acme at http://127.0.0.1:8080/santaba/rest");
    assert!(PortalAddress::at("http://127.0.0.1:8080/santaba/rest", Some("acme/x")).is_err());
}

#[test]
fn urls_append_the_path_and_encode_the_query() {
    let portal = PortalAddress::of_company("acme", None).unwrap();
    assert_eq!(
        portal.url("/setting/admins/32/apitokens", &[]).as_str(),
        "https://acme.logicmonitor.com/santaba/rest/setting/admins/32/apitokens"
    );
    let query = [("type", "bearer"), ("filter", "note:\"a&b=c#d?e+f\"")];
    let url = portal.url("/setting/admins/apitokens", &query);
    assert_eq!(url.query_pairs().collect::<Vec<_>>(), query.map(|(name, value)| (name.into(), value.into())));
    assert_eq!((url.path(), url.fragment()), ("/santaba/rest/setting/admins/apitokens", None));
}

proptest! {
    #[test]
    fn any_company_and_domain_give_https_or_an_error(company in any::<String>(), domain in any::<Option<String>>()) {
        if let Some(base_url) = of_company(&company, domain.as_deref()) {
            prop_assert!(base_url.starts_with("https://") && base_url.ends_with("/santaba/rest"));
        }
    }

    #[test]
    fn an_accepted_company_stays_on_its_domain(
        company in "(https?://)?[a-z0-9@:/._-]{1,20}(\\.logicmonitor\\.com)?[a-z./@:]{0,6}",
    ) {
        if let Ok(portal) = PortalAddress::of_company(&company, None) {
            let domains = [".logicmonitor.com", ".lmgov.us", ".qa-lmgov.us"];
            prop_assert!(domains.iter().any(|domain| portal.host().ends_with(domain)), "{}", portal);
            prop_assert_eq!(portal.host().split('.').next(), portal.company());
        }
    }

    #[test]
    fn any_base_url_gives_tls_or_loopback_or_an_error(base_url in any::<String>()) {
        check_base_url(&base_url)?;
    }

    #[test]
    fn nearly_a_base_url_gives_tls_or_loopback_or_an_error(
        base_url in "https?:[/\\\\]{0,3}[a-z0-9.:@\\[\\]%]{0,10}(localhost|127\\.0\\.0\\.1|\\[::1\\]|0x7f\\.1|2130706433)?[a-z0-9.:@%#?]{0,10}(/santaba/rest)?",
    ) {
        check_base_url(&base_url)?;
    }
}

/// Checks the address to which requests would be sent, not its spelling.
fn check_base_url(base_url: &str) -> Result<(), TestCaseError> {
    let Ok(portal) = PortalAddress::at(base_url, None) else { return Ok(()) };
    let url = url::Url::parse(portal.base_url()).unwrap();
    prop_assert!(url.path().ends_with("/santaba/rest"));
    prop_assert!(url.username().is_empty() && url.password().is_none());
    let loopback = match url.host().unwrap() {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => address.octets()[0] == 127,
        url::Host::Ipv6(address) => address.segments() == [0, 0, 0, 0, 0, 0, 0, 1],
    };
    prop_assert_eq!(portal.is_loopback(), loopback);
    prop_assert!(url.scheme() == "https" || (url.scheme() == "http" && loopback), "{}", url);
    Ok(())
}
