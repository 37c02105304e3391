//! A client of another schema registry, for converters: what they ask, over HTTP, of the first of several URLs that answers.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use towpath_convert::definition::{Definition, Reference, Referenced, SchemaType};
use towpath_convert::{RegisteredSchema, RegistryAddress, RegistryFault, SchemaRegistry};
use towpath_model::Secret;

use crate::source::submitted;

type Result<T> = std::result::Result<T, RegistryFault>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How many schemas the references of one may lead to.
const REFERENCES_MAX: usize = 1000;

/// A registry at some URLs.
pub(crate) struct Client {
    urls: Vec<Url>,
    user: Option<(String, Secret)>,
}

#[derive(Deserialize)]
struct WithId {
    id: i32,
}

/// A schema as registries show it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(default)]
    id: Option<i32>,
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Client {
    /// A client of the registry at an address, which is asked nothing yet.
    pub(crate) fn new(address: &RegistryAddress) -> std::result::Result<Self, String> {
        let parsed = address.urls.iter().map(|url| {
            let parsed: Url = url.parse().map_err(|error| format!("{error}"))?;
            match parsed.scheme() {
                "http" | "https" => Ok(parsed),
                scheme => Err(format!("a registry is reached by http or https, not by {scheme}")),
            }
        });
        Ok(Self { urls: parsed.collect::<std::result::Result<_, String>>()?, user: address.user.clone() })
    }

    /// Asks one URL after the other, until one answers.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &str,
        body: Option<String>,
    ) -> Result<T> {
        let mut silent = RegistryFault::Unreachable("no URL is given".to_owned());
        for url in &self.urls {
            match self.ask_one(url, &method, path, query, body.as_ref()).await {
                Err(fault @ RegistryFault::Unreachable(_)) => silent = fault,
                answered => return answered,
            }
        }
        Err(silent)
    }

    async fn ask_one<T: DeserializeOwned>(
        &self,
        base: &Url,
        method: &Method,
        path: &[&str],
        query: &str,
        body: Option<&String>,
    ) -> Result<T> {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let silent = |what: String| RegistryFault::Unreachable(format!("{what} ({})", shown(base)));
        let mut request = http().map_err(&silent)?.request(method.clone(), url).header("accept", MEDIA_TYPE);
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, Some(password.reveal()));
        }
        if let Some(body) = body {
            request = request.header("content-type", MEDIA_TYPE).body(body.clone());
        }
        let mut response = request.send().await.map_err(|error| silent(error.without_url().to_string()))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| silent(error.without_url().to_string()))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                let reason = format!("{} answered with more than {} MiB", shown(base), ANSWER_BYTES_MAX >> 20);
                return Err(RegistryFault::Refused(reason));
            }
        }
        if status.is_success() {
            let unreadable =
                |error| RegistryFault::Refused(format!("{} answered what is no registry's: {error}", shown(base)));
            return serde_json::from_slice(&bytes).map_err(unreadable);
        }
        let told = serde_json::from_slice::<Refusal>(&bytes).ok().map(|refusal| refusal.message);
        let reason = told.unwrap_or_else(|| format!("{} answered {status}", shown(base)));
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
        {
            return Err(silent(reason));
        }
        Err(RegistryFault::Refused(reason))
    }

    async fn described(&self, id: Option<i32>, shown: Shown) -> Result<RegisteredSchema> {
        let unknown = || RegistryFault::Refused("a schema came without its id".to_owned());
        let id = id.or(shown.id).ok_or_else(unknown)?;
        let schema_type = match shown.schema_type.as_deref() {
            None => SchemaType::default(),
            Some(name) => {
                name.parse().map_err(|()| RegistryFault::Refused(format!("schema {id} is of type {name}")))?
            }
        };
        let mut referenced = Vec::new();
        self.gather(&shown.references, &mut referenced).await?;
        let definition = Definition { schema_type, text: shown.schema.into(), references: shown.references };
        Ok(RegisteredSchema { id, definition, referenced })
    }

    /// The texts behind references, each after those that it refers to itself.
    async fn gather(&self, references: &[Reference], found: &mut Vec<Referenced>) -> Result<()> {
        // A reference waits on the stack until those that its schema refers to are found.
        let mut open: Vec<(Reference, Option<String>)> =
            references.iter().rev().map(|reference| (reference.clone(), None)).collect();
        while let Some((reference, text)) = open.pop() {
            if found.iter().any(|known| known.name == reference.name) {
                continue;
            }
            if let Some(text) = text {
                found.push(Referenced { name: reference.name, text: text.into() });
                continue;
            }
            if open.len() + found.len() > REFERENCES_MAX {
                return Err(RegistryFault::Refused("its references lead to more schemas than any needs".to_owned()));
            }
            let version = if reference.version == -1 { "latest".to_owned() } else { reference.version.to_string() };
            let path = ["subjects", &reference.subject, "versions", &version];
            let shown: Shown = self.ask(Method::GET, &path, "deleted=true", None).await?;
            open.push((reference, Some(shown.schema)));
            open.extend(shown.references.into_iter().rev().map(|reference| (reference, None)));
        }
        Ok(())
    }

    async fn post(&self, path: &[&str], schema: &Definition, normalize: bool) -> Result<i32> {
        let body =
            serde_json::to_string(&submitted(schema)).map_err(|error| RegistryFault::Refused(error.to_string()))?;
        let query = if normalize { "normalize=true" } else { "" };
        self.ask::<WithId>(Method::POST, path, query, Some(body)).await.map(|answer| answer.id)
    }
}

#[async_trait]
impl SchemaRegistry for Client {
    async fn register(&self, subject: &str, schema: &Definition, normalize: bool) -> Result<i32> {
        self.post(&["subjects", subject, "versions"], schema, normalize).await
    }

    async fn look_up(&self, subject: &str, schema: &Definition, normalize: bool) -> Result<i32> {
        self.post(&["subjects", subject], schema, normalize).await
    }

    async fn latest(&self, subject: &str) -> Result<RegisteredSchema> {
        let shown = self.ask(Method::GET, &["subjects", subject, "versions", "latest"], "", None).await?;
        self.described(None, shown).await
    }

    async fn by_id(&self, id: i32) -> Result<RegisteredSchema> {
        let shown = self.ask(Method::GET, &["schemas", "ids", &id.to_string()], "", None).await?;
        self.described(Some(id), shown).await
    }
}

/// A URL as it may be told: without user and password.
fn shown(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// One client for all, made when the first is needed. Where a registry redirects to is not where the configuration said.
fn http() -> std::result::Result<&'static reqwest::Client, String> {
    static CLIENT: OnceLock<std::result::Result<reqwest::Client, String>> = OnceLock::new();
    let made = CLIENT.get_or_init(|| {
        // Refused only where one is installed already, which is then as good.
        _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())
    });
    made.as_ref().map_err(Clone::clone)
}
