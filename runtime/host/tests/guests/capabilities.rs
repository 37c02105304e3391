//! What a component may reach, and what it is refused.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use towpath_model::Reading;

use crate::support::{Bench, answer, http};

#[tokio::test]
async fn a_request_elsewhere_is_refused_and_names_the_key() {
    let bench = Bench::new();
    let elsewhere = http(|_, _| answer("200 OK", "reached")).await;
    let settings = [("mode", "dial-elsewhere"), ("http.url", "http://127.0.0.1:1/"), ("target", elsewhere.as_str())];
    let said = bench.task(&settings).await.said().await;
    assert!(said.starts_with("Denied") && said.contains("`http.url`"), "{said}");
}

#[tokio::test]
async fn a_redirect_elsewhere_is_refused() {
    let bench = Bench::new();
    let elsewhere = http(|_, _| answer("200 OK", "reached")).await;
    let redirecting = http(move |_, _| {
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere}/x\r\ncontent-length: 0\r\n\r\n")
    });
    let url = redirecting.await;
    let said = bench.task(&[("mode", "redirect"), ("http.url", &url)]).await.said().await;
    assert!(said.starts_with("Denied") && said.contains("`http.url`"), "{said}");
}

#[tokio::test]
async fn a_redirect_within_the_endpoint_is_followed() {
    let bench = Bench::new();
    let server = http(|path, _| match path {
        "/moved" => answer("200 OK", "moved"),
        _ => "HTTP/1.1 308 Permanent Redirect\r\nlocation: /moved\r\ncontent-length: 0\r\n\r\n".into(),
    });
    let url = server.await;
    assert_eq!(bench.task(&[("mode", "request"), ("http.url", &url)]).await.said().await, "200 moved");
}

#[tokio::test]
async fn the_metadata_address_needs_the_operators_word() {
    let bench = Bench::new();
    let settings = [("mode", "metadata-address"), ("http.url", "http://169.254.169.254/latest/meta-data/")];
    let said = bench.task(&settings).await.said().await;
    assert!(said.starts_with("Denied") && said.contains("operator"), "{said}");
}

#[tokio::test]
async fn the_host_adds_a_credential_that_the_component_never_sees() {
    let bench = Bench::new();
    let seen = Arc::new(Mutex::new(String::new()));
    let recorded = seen.clone();
    let url = http(move |_, head| {
        head.clone_into(&mut recorded.lock().expect("unbroken"));
        answer("200 OK", "fine")
    });
    let url = url.await;
    let settings = [("http.url", url.as_str()), ("password", "for-the-guest"), ("token", "for-the-host")];
    let task = [&settings[..], &[("mode", "request")]].concat();
    assert_eq!(bench.task(&task).await.said().await, "200 fine");
    assert!(seen.lock().expect("unbroken").contains("authorization: Bearer for-the-host"));
    let keys = bench.task(&[&settings[..], &[("mode", "config")]].concat()).await.said().await;
    assert_eq!(keys, "http.url,mode,password");
}

#[tokio::test]
async fn the_first_failure_ends_its_lane_and_no_other() {
    let bench = Bench::new();
    let url = http(|path, _| if path == "/fail" { answer("503 Busy", "") } else { answer("200 OK", "") }).await;
    let said = bench.task(&[("mode", "lanes"), ("http.url", &url)]).await.said().await;
    assert_eq!(said, "503 200 NotSent 200");
}

#[tokio::test]
async fn a_stream_reaches_its_endpoint_and_no_other() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a line");
        // In two pieces, so that the component has to wait in between.
        stream.write_all(b"heard ").await.expect("written");
        tokio::task::yield_now().await;
        stream.write_all(line.as_bytes()).await.expect("written");
    });
    let endpoint = [("hostname", "127.0.0.1"), ("port", port.as_str())];
    let said = bench.task(&[&endpoint[..], &[("mode", "stream")]].concat()).await.said().await;
    assert_eq!(said, "heard hello");
    let said = bench.task(&[&endpoint[..], &[("mode", "stream-elsewhere")]].concat()).await.said().await;
    assert!(said.starts_with("Denied") && said.contains("`hostname`"), "{said}");
}

#[tokio::test]
async fn a_store_takes_objects_and_keeps_them_in_its_folder() {
    let bench = Bench::new();
    let folder = bench.folder.path().join("store");
    let urls = [format!("file://{}", folder.display()), "memory:".into()];
    for url in urls {
        let said = bench.task(&[("mode", "store"), ("store.url", &url)]).await.said().await;
        assert_eq!(said, "t/a,t/b two left 1 denied true", "{url}");
    }
    assert_eq!(std::fs::read(folder.join("lake/t/b")).expect("the object"), b"two");
    let url = format!("file://{}", folder.display());
    let said = bench.task(&[("mode", "store-elsewhere"), ("store.url", &url)]).await.said().await;
    assert!(said.starts_with("Denied") && said.contains("`store.url`"), "{said}");
}

#[tokio::test]
async fn scratch_files_are_bounded_and_gone_afterwards() {
    let bench = Bench::new();
    let mut task = bench.task(&[("mode", "scratch")]).await;
    assert_eq!(task.said().await, "7 two full true");
    drop(task);
    assert!(!bench.folder.path().join("scratch/test-0").exists());
}

#[tokio::test]
async fn metrics_and_usage_reach_the_worker() {
    let bench = Bench::new();
    let mut task = bench.task(&[("mode", "log"), ("password", "hunter2-hunter2")]).await;
    assert_eq!(task.said().await, "logged");
    let metrics = task.telemetry.metrics.lock().expect("unbroken").clone();
    assert_eq!(
        metrics.iter().map(|metric| (metric.name.as_str(), metric.reading)).collect::<Vec<_>>(),
        [("polls", Reading::Counter(1))]
    );
    let (memory, busy) = *task.telemetry.usage.lock().expect("unbroken");
    assert!(memory > 0 && !busy.is_zero(), "{memory} {busy:?}");
}
