//! What may be reached and what may not.

use towpath_model::ConnectorKind;

use super::*;

fn key(name: &str, endpoint: Endpoint) -> ConfigKey {
    ConfigKey {
        name: name.into(),
        value_type: towpath_model::ValueType::String,
        default: None,
        optional: true,
        importance: towpath_model::Importance::High,
        doc: String::new(),
        group: None,
        order: -1,
        width: towpath_model::Width::None,
        display_name: name.into(),
        dependents: Vec::new(),
        valid_values: Vec::new(),
        aliases: vec![format!("{name}.alias")],
        secret: false,
        endpoint: Some(endpoint),
    }
}

fn allowed(config: &[(&str, &str)]) -> Allowed {
    let spec = Spec {
        name: "test".into(),
        version: "1".into(),
        kind: ConnectorKind::Sink,
        doc: String::new(),
        keys: vec![
            key("http.url", Endpoint::Url),
            key("database.hostname", Endpoint::Host { port_key: "database.port".into(), default_port: 5432 }),
            key("store.url", Endpoint::Store),
        ],
        open_prefixes: Vec::new(),
        credentials: Vec::new(),
        capabilities: Vec::new(),
        accepts: Vec::new(),
        defines_transactions: false,
    };
    Allowed::new(&spec, &config.iter().copied().collect(), false)
}

fn url(allowed: &Allowed, text: &str) -> Result<(), Denied> {
    allowed.url(&Url::parse(text).expect("a URL"))
}

#[test]
fn only_scheme_host_and_port_of_the_configured_url_are_reached() {
    let allowed = allowed(&[("http.url", "https://hooks.internal/orders/${topic}")]);
    for permitted in ["https://hooks.internal/orders/a", "https://hooks.internal:443/", "https://HOOKS.internal/x?y"] {
        assert_eq!(url(&allowed, permitted), Ok(()), "{permitted}");
    }
    for refused in [
        "http://hooks.internal/orders",
        "https://hooks.internal:8443/",
        "https://hooks.internal.evil.example/",
        "https://hooks.internal@evil.example/",
        "https://evil.example/hooks.internal",
    ] {
        let text = url(&allowed, refused).expect_err(refused).0;
        assert!(text.contains("`http.url`"), "{text}");
    }
}

#[test]
fn a_template_in_the_host_permits_nothing() {
    let allowed = allowed(&[("http.url", "https://${topic}.example/")]);
    assert!(url(&allowed, "https://a.example/").is_err());
}

#[test]
fn hosts_go_with_their_port_and_aliases_count() {
    let by_default = allowed(&[("database.hostname.alias", "db")]);
    assert_eq!(by_default.host("DB", 5432), Ok(()));
    assert!(by_default.host("db", 5433).is_err());
    let moved = allowed(&[("database.hostname", "db"), ("database.port", "6000")]);
    assert_eq!(moved.host("db", 6000), Ok(()));
    assert!(moved.host("db", 5432).expect_err("moved").0.contains("`database.hostname`"));
}

#[test]
fn stores_are_the_configured_one() {
    let local = allowed(&[("store.url", "file:///lake/")]);
    assert_eq!(local.store(Some("file:///lake")), Ok(()));
    assert!(local.store(Some("file:///")).is_err());
    assert!(local.store(None).is_err());
    assert_eq!(allowed(&[]).store(None), Ok(()));
}

#[test]
fn metadata_addresses_are_refused_however_they_are_written() {
    for text in [
        "http://169.254.169.254",
        "http://[fe80::1]",
        "http://[fd00:ec2::254]",
        "http://[::ffff:169.254.169.254]",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://2852039166",
        "http://0xa9fea9fe",
        "http://0251.0376.0251.0376",
        "http://[::a9fe:a9fe]",
        "http://[2002:a9fe:a9fe::]",
        "http://[fd00:ec2::23]",
        "http://169.254.170.2",
        "http://168.63.129.16",
        "http://100.100.100.200",
    ] {
        let allowed = allowed(&[("http.url", text)]);
        let refusal = url(&allowed, text).expect_err(text);
        assert!(refusal.0.contains("link-local or metadata"), "{text}: {refusal}");
    }
}

#[test]
fn of_several_addresses_the_link_local_ones_are_left_out() {
    let found = vec!["169.254.169.254:80".parse().expect("address"), "10.0.0.1:80".parse().expect("address")];
    let kept = permitted("x", found.clone(), false).expect("one is left");
    assert_eq!(kept, found[1..]);
    assert_eq!(permitted("x", found.clone(), true), Ok(found));
}
