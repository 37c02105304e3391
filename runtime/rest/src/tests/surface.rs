//! What is answered before anything is asked of a worker: routing, media types, who may ask, and the time before the worker is there.

use super::*;
use serde_json::json;
use towpath_model::Secret;

use towpath_http::{Role, Users};

fn with_header(line: &str, name: &'static str, value: &str) -> Request<Body> {
    let mut request = request(line);
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn before_the_worker_is_there_everything_answers_in_json() {
    let server = server(Stage::of(None));
    let check = async |line: &str, status: u16, body: Value| {
        let answer = ask(&server, request(line)).await;
        assert_eq!((answer.status, answer.body), (status, body), "{line}");
    };
    let starting = "The worker is starting: its configuration is being read from the log";
    check("GET /connectors", 503, json!({ "error_code": 503, "message": starting })).await;
    check("GET /", 503, json!({ "error_code": 503, "message": starting })).await;
    check("GET /health", 503, json!({ "status": "starting", "message": "Worker is still starting up." })).await;
    check("GET /livez", 200, json!("ok\n")).await;
    check("GET /readyz", 503, json!("starting\n")).await;
}

#[tokio::test]
async fn routing_refuses_as_connect_does() {
    let server = server(Stage::of(None));
    let check = async |request: Request<Body>, status: u16, reason: &str| {
        let line = format!("{} {}", request.method(), request.uri());
        let answer = ask(&server, request).await;
        let body = json!({ "error_code": status, "message": format!("HTTP {status} {reason}") });
        assert_eq!((answer.status, answer.body), (status, body), "{line}");
    };
    check(request("GET /nope"), 404, "Not Found").await;
    check(request("GET /connectors/a/tasks-config"), 404, "Not Found").await;
    check(request("DELETE /connectors"), 405, "Method Not Allowed").await;
    check(request("POST /connectors/a/pause"), 405, "Method Not Allowed").await;
    check(with_header("GET /connectors", "accept", "text/html"), 406, "Not Acceptable").await;
    check(with_header("GET /connectors/", "accept", "text/plain"), 406, "Not Acceptable").await;
    check(with_header("POST /connectors {}", "content-type", "text/plain"), 415, "Unsupported Media Type").await;
    let mut form = request("PUT /connectors/a/config {}");
    form.headers_mut().remove("content-type");
    check(form, 415, "Unsupported Media Type").await;
}

#[tokio::test]
async fn what_clients_send_is_let_through() {
    let server = server(Stage::of(None));
    let passes = async |request: Request<Body>| {
        let line = format!("{} {}", request.method(), request.uri());
        assert_eq!(ask(&server, request).await.status, 503, "{line}");
    };
    // kcctl ends with a slash, kafka-connect-py sends no content type on a bodyless PUT, browsers name several media types.
    passes(request("GET /connectors/")).await;
    passes(request("GET /connectors/a/status/")).await;
    passes(request("PUT /connectors/a/pause")).await;
    passes(with_header("GET /connectors", "accept", "text/html, application/json;q=0.9")).await;
    passes(with_header("GET /connectors", "accept", "*/*")).await;
    passes(with_header("POST /connectors {}", "content-type", "application/json; charset=utf-8")).await;
    passes(with_header("GET /connectors", "host", "127.0.0.1:8083")).await;
    passes(with_header("GET /connectors", "host", "[::1]:8083")).await;
    passes(with_header("GET /connectors", "origin", "http://localhost:8083")).await;
}

#[tokio::test]
async fn options_names_the_methods() {
    let server = server(Stage::of(None));
    let answer = ask(&server, request("OPTIONS /connectors")).await;
    assert_eq!(answer.status, 200);
    let mut allowed: Vec<&str> = answer.headers["allow"].to_str().unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "OPTIONS", "POST"]);
    assert_eq!(answer.headers["content-type"], "text/plain");
}

#[tokio::test]
async fn pages_of_other_origins_and_rebound_names_are_refused() {
    let server = server(Stage::of(None));
    let refused = async |request: Request<Body>| assert_eq!(ask(&server, request).await.status, 403);
    refused(with_header("GET /connectors", "host", "evil.example:8083")).await;
    refused(with_header("GET /livez", "host", "evil.example")).await;
    refused(with_header("PUT /connectors/a/stop", "origin", "http://evil.example")).await;
    refused(with_header("PUT /connectors/a/stop", "origin", "null")).await;
}

#[tokio::test]
async fn a_token_is_asked_of_all_but_probes() {
    let access = Access { token: Some(Secret::new("s3cret")), ..Access::default() };
    let guard = Guard { door: Door::new(([0, 0, 0, 0], 8083).into(), access), ..guard() };
    let server = guarded(routes(Stage::of(None)).0, guard);
    let status = async |request: Request<Body>| ask(&server, request).await.status;
    assert_eq!(status(request("GET /connectors")).await, 401);
    assert_eq!(status(with_header("GET /connectors", "authorization", "Bearer wrong!")).await, 401);
    assert_eq!(status(with_header("GET /connectors", "authorization", "Basic s3cret")).await, 401);
    assert_eq!(status(with_header("GET /connectors", "authorization", "bearer s3cret")).await, 503);
    assert_eq!(status(request("GET /livez")).await, 200);
    // Off loopback any name may lead here: the token decides.
    assert_eq!(status(with_header("GET /livez", "host", "worker.example")).await, 200);
}

/// Knows two users.
struct Two;

impl Users for Two {
    fn role(&self, name: &str, password: &str) -> Option<Role> {
        let role = if name == "ann" { Role::Admin } else { Role::Viewer };
        (password == format!("{name}:s")).then_some(role)
    }
}

#[tokio::test]
async fn whoever_may_only_look_changes_nothing() {
    let access = Access {
        token: Some(Secret::new("all")),
        read_token: Some(Secret::new("look")),
        users: Some(std::sync::Arc::new(Two)),
    };
    let server =
        guarded(routes(Stage::of(None)).0, Guard { door: Door::new(([127, 0, 0, 1], 8083).into(), access), ..guard() });
    let basic = |credentials: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
    };
    let check = async |line: &str, given: &str, status: u16| {
        assert_eq!(ask(&server, with_header(line, "authorization", given)).await.status, status, "{line} as {given}");
    };
    for admin in ["Bearer all", &basic("ann:ann:s")] {
        check("GET /connectors", admin, 503).await;
        check("PUT /connectors/a/stop", admin, 503).await;
        check("GET /v1/connectors/a/tap", admin, 503).await;
    }
    for viewer in ["Bearer look", &basic("bob:bob:s")] {
        check("GET /connectors", viewer, 503).await;
        check("HEAD /connectors/a/status", viewer, 503).await;
        check("PUT /v1/validate {}", viewer, 503).await;
        check("PUT /connector-plugins/a/config/validate {}", viewer, 503).await;
        check("PUT /connectors/a/stop", viewer, 403).await;
        check("DELETE /connectors/a/", viewer, 403).await;
        check("PUT /admin/loggers/root {}", viewer, 403).await;
        check("POST /v1/kafka", viewer, 403).await;
        check("GET /v1/connectors/a/tap?max=1", viewer, 403).await;
        check("HEAD /v1/connectors/a/tap/", viewer, 403).await;
        check("GET /v1/connectors/tap", viewer, 503).await;
    }
    for nobody in ["Bearer nothing", "Basic ???", "Digest all", &basic("bob:s"), &basic("bob")] {
        check("GET /connectors", nobody, 401).await;
    }
}

#[tokio::test]
async fn off_loopback_needs_a_token() {
    let config = crate::Config { listen: "0.0.0.0:0".to_owned(), ..crate::Config::default() };
    let refusal = crate::Server::bind(config.clone()).await.err().expect("listening on all addresses without a token");
    assert_eq!(refusal.code(), "rest.token_missing");
    let access = Access { token: Some(Secret::new("s3cret")), ..Access::default() };
    let config = crate::Config { access, ..config };
    assert!(crate::Server::bind(config).await.is_ok());
}

#[tokio::test]
async fn a_server_answers_over_a_socket_and_ends_when_told() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let config = crate::Config { listen: "127.0.0.1:0".to_owned(), ..crate::Config::default() };
    let server = crate::Server::bind(config).await.unwrap();
    let address = server.address();
    let (close, closing) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn(server.run(closing));
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    close.send_replace(true);
    serving.await.unwrap().unwrap();
}

#[test]
fn the_page_of_metrics_is_well_formed() {
    let mut page = crate::prometheus::Page::default();
    page.family("a_total", crate::prometheus::Type::Counter, "A count.");
    page.sample("a_total", &[("connector", "with \"quotes\"\\\n"), ("task", "0")], 3.0);
    page.sample("a_total", &[], 0.25);
    assert_eq!(
        page.finish(),
        "# HELP a_total A count.\n# TYPE a_total counter\na_total{connector=\"with \\\"quotes\\\"\\\\\\n\",task=\"0\"} 3\na_total 0.25\n"
    );
    assert_eq!(crate::prometheus::metric_name("towpath_plugin_", "wal-lag.bytes"), "towpath_plugin_wal_lag_bytes");
}
