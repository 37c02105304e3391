//! Modes that reach outside, each telling what came of it.

use std::time::Duration;

use towpath_sdk::http::{Request, send_all};
use towpath_sdk::model::Config;
use towpath_sdk::object_store::{Store, StoreOptions};
use towpath_sdk::scratch::File;
use towpath_sdk::streams::{Chunk, Connection, Tls, Verify, wait};

const SOON: Duration = Duration::from_secs(5);

/// Does what the mode says.
pub(crate) fn reach(mode: &str, config: &Config) -> String {
    let setting = |key: &str| config.get(key).unwrap_or_default().to_owned();
    match mode {
        "dial-elsewhere" => request(&setting("target"), None),
        "request" | "redirect" | "metadata-address" => request(&setting("http.url"), Some("token")),
        "lanes" => lanes(&setting("http.url")),
        "stream-elsewhere" => match Connection::connect("127.0.0.1", 22, SOON) {
            Ok(_) => "connected".into(),
            Err(error) => format!("{error:?}"),
        },
        "stream" => stream(&setting("hostname"), setting("port").parse().unwrap_or_default(), None),
        "stream-tls-full" | "stream-tls-authority" | "stream-tls-none" => {
            let verify = match mode {
                "stream-tls-full" => Verify::Full,
                "stream-tls-authority" => Verify::Authority,
                _ => Verify::None,
            };
            let roots_key = config.get("tls.roots").map(|_| "tls.roots".to_owned());
            let tls = Tls { verify, roots_key, certificate_key: None, private_key_key: None };
            stream(&setting("hostname"), setting("port").parse().unwrap_or_default(), Some(&tls))
        }
        "store" => store(&setting("store.url")).unwrap_or_else(|error| format!("{error:?}")),
        "store-elsewhere" => match Store::open(&options("file:///etc")) {
            Ok(_) => "opened".into(),
            Err(error) => format!("{error:?}"),
        },
        "scratch" => scratch().unwrap_or_else(|error| format!("{error:?}")),
        mode => format!("there is no mode {mode}"),
    }
}

fn request(url: &str, credential: Option<&str>) -> String {
    let answers = send_all(vec![get(url, credential, 0)], 1);
    match answers.into_iter().next() {
        Some(Ok(response)) => format!("{} {}", response.status, String::from_utf8_lossy(&response.body)),
        Some(Err(error)) => format!("{error:?}"),
        None => "no answer".into(),
    }
}

/// Two lanes whose first requests fail and succeed.
fn lanes(url: &str) -> String {
    let paths = [("/fail", 1), ("/ok", 2), ("/ok", 1), ("/ok", 2)];
    let requests = paths.map(|(path, lane)| get(&format!("{url}{path}"), None, lane));
    let told = send_all(requests.into(), 4).into_iter().map(|answer| match answer {
        Ok(response) => response.status.to_string(),
        Err(error) => format!("{error:?}"),
    });
    told.collect::<Vec<_>>().join(" ")
}

fn get(url: &str, credential: Option<&str>, lane: u64) -> Request {
    Request {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: SOON,
        credential: credential.map(Into::into),
        lane,
    }
}

/// Sends a line and tells the line that comes back.
fn stream(host: &str, port: u16, tls: Option<&Tls>) -> String {
    let talk = || {
        let connection = Connection::connect(host, port, SOON)?;
        if let Some(tls) = tls {
            connection.start_tls(tls)?;
        }
        connection.write(b"hello\n")?;
        let mut heard = Vec::new();
        while !heard.ends_with(b"\n") {
            match connection.read(3)? {
                Chunk::Bytes(bytes) => heard.extend(bytes),
                Chunk::Pending => drop(wait(&[&connection], SOON)),
                Chunk::Closed => break,
            }
        }
        Ok::<_, towpath_sdk::streams::StreamError>(String::from_utf8_lossy(&heard).trim().to_owned())
    };
    talk().unwrap_or_else(|error| format!("{error:?}"))
}

fn options(url: &str) -> StoreOptions {
    StoreOptions { url: Some(url.into()), bucket: "lake".into(), region: "us-east-1".into(), ..StoreOptions::default() }
}

fn store(url: &str) -> Result<String, towpath_sdk::object_store::StoreError> {
    let store = Store::open(&options(url))?;
    store.put("t/a", b"one")?;
    let upload = store.upload("t/b")?;
    upload.write(b"tw")?;
    upload.write(b"o")?;
    upload.complete()?;
    let escaped = store.put("../../escaped", b"").is_err();
    let listed: Vec<_> = store.list("t/", None, 10)?.into_iter().map(|meta| meta.path).collect();
    let read = store.get("t/b")?;
    store.delete("t/a")?;
    let left = store.list("t/", None, 10)?.len();
    Ok(format!("{} {} left {left} denied {escaped}", listed.join(","), String::from_utf8_lossy(&read)))
}

fn scratch() -> Result<String, towpath_sdk::scratch::ScratchError> {
    let file = File::create()?;
    file.append(b"one ")?;
    file.append(b"two")?;
    let read = file.read(4, 100)?;
    let full = file.append(&vec![0; 2 << 20]).is_err();
    Ok(format!("{} {} full {full}", file.size(), String::from_utf8_lossy(&read)))
}
