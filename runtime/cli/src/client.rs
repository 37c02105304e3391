//! Talks to a running worker: finds it by `--url` or by the data directory, sends requests, words what went wrong.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::addresses::Addresses;
use crate::failure::{Failure, Result};

/// Where the data of a worker lies when nobody says otherwise.
pub(crate) const DATA_DIR: &str = "towpath-data";

/// Which worker is meant.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// The worker's REST address, such as http://127.0.0.1:8083, or https://USER:PASSWORD@HOST:8083 where it asks for that.
    #[arg(long, env = "TOWPATH_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The worker's data directory, where it says on which address it listens.
    #[arg(long, env = "TOWPATH_DATA_DIR", value_name = "DIR", default_value = DATA_DIR)]
    pub(crate) data_dir: PathBuf,
    /// The worker's token, if it was started with one.
    #[arg(long, env = "TOWPATH_REST_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) rest_token: Option<String>,
    /// The authority that signed the certificate of the REST interface, in PEM, where this machine does not know it.
    #[arg(long, env = "TOWPATH_REST_CA", value_name = "FILE")]
    pub(crate) rest_ca: Option<PathBuf>,
}

impl Target {
    /// A client for the worker.
    pub(crate) fn client(&self) -> Result<Client> {
        let url = match &self.url {
            Some(url) if url.contains("://") => url.trim_end_matches('/').to_owned(),
            Some(address) => format!("http://{address}"),
            None => {
                let found = Addresses::read(&self.data_dir).ok_or_else(|| {
                    Failure::environment(anyhow::anyhow!(
                        "no worker found: {} holds no addresses.json. Start one with `towpath run`, or name one with --url or --data-dir",
                        self.data_dir.display()
                    ))
                })?;
                let rest = found.rest.ok_or_else(|| {
                    Failure::environment(anyhow::anyhow!(
                        "the log in {} runs alone and is open to Kafka clients only{}",
                        self.data_dir.display(),
                        found.kafka.map_or_else(String::new, |kafka| format!(", at {kafka}"))
                    ))
                })?;
                format!("{}://{rest}", if found.rest_tls { "https" } else { "http" })
            }
        };
        // Refused only where one is installed already, which is then as good.
        _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5));
        if let Some(file) = &self.rest_ca {
            let refused = |reason: &dyn std::fmt::Display| Failure::input(format!("{}: {reason}", file.display()));
            let pem = std::fs::read(file).map_err(|error| refused(&error))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| refused(&error))?;
            http = http.tls_certs_merge(authorities);
        }
        let http = http.build().map_err(Failure::ours)?;
        Ok(Client { http, url, token: self.rest_token.clone() })
    }
}

/// A client for one worker.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Client {
    /// Asks for a path's JSON.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(Method::GET, path, None).await
    }

    /// Sends a request, with a body where there is one, and reads the JSON of the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T> {
        let response = self.request(method, path, body).await?;
        let body = response.bytes().await.map_err(|error| self.lost(error))?;
        serde_json::from_slice(&body).map_err(|error| {
            Failure::ours(error).context(format!("{}{path} answered something else than expected", self.url))
        })
    }

    /// Sends a request without a body; what is no success is a failure.
    pub(crate) async fn send(&self, method: Method, path: &str) -> Result<Response> {
        self.carry(self.http.request(method, format!("{}{path}", self.url))).await
    }

    async fn request(&self, method: Method, path: &str, body: Option<&serde_json::Value>) -> Result<Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.carry(request).await
    }

    /// Sends bytes and gives those of the answer.
    pub(crate) async fn post_bytes(&self, path: &str, body: Bytes) -> Result<Bytes> {
        let request = self.http.post(format!("{}{path}", self.url)).body(body);
        let response = self.carry(request.header(CONTENT_TYPE, "application/octet-stream")).await?;
        response.bytes().await.map_err(|error| self.lost(error))
    }

    async fn carry(&self, mut request: RequestBuilder) -> Result<Response> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| self.lost(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        let message = match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => refusal.message,
            Err(_) => format!("the worker answered {status}"),
        };
        Err(match status {
            StatusCode::SERVICE_UNAVAILABLE => Failure::environment(anyhow::anyhow!(message)),
            status if status.is_client_error() => Failure::input(message),
            _ => Failure::ours(anyhow::anyhow!(message)),
        })
    }

    /// Whether a worker answers at all.
    pub(crate) async fn answers(&self) -> bool {
        let request = self.http.get(format!("{}/livez", self.url)).timeout(Duration::from_secs(2));
        request.send().await.is_ok()
    }

    /// The failure for a connection that did not come about or broke.
    pub(crate) fn lost(&self, error: reqwest::Error) -> Failure {
        // reqwest's own text repeats the URL; the innermost cause is the system's reason.
        let mut reason: &dyn std::error::Error = &error;
        while let Some(cause) = reason.source() {
            reason = cause;
        }
        Failure::environment(anyhow::anyhow!("no worker answers at {}: {reason}", self.url))
    }
}

/// A name as a segment of a path.
pub(crate) fn segment(name: &str) -> String {
    towpath_rest::percent_encoded(name)
}
