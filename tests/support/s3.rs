//! An S3 server on a folder, in this process. It checks signatures: a wrong secret is refused.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The access key that the server knows.
pub const ACCESS_KEY: &str = "towpath-access";
/// Its secret.
pub const SECRET_KEY: &str = "towpath-secret-2718";

/// The running server.
pub struct S3Server {
    address: SocketAddr,
    root: PathBuf,
    server: JoinHandle<()>,
}

impl S3Server {
    /// Starts on a free loopback port, with `root` as its store and `bucket` in it.
    pub async fn start(root: &Path, bucket: &str) -> Result<Self> {
        std::fs::create_dir_all(root.join(bucket))?;
        let store = FileSystem::new(root).map_err(|error| anyhow!("opening the store: {error:?}"))?;
        let mut builder = S3ServiceBuilder::new(store);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(listen(listener, builder.build()));
        Ok(Self { address, root: root.to_owned(), server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its endpoint.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder that holds its buckets.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn listen(listener: TcpListener, service: S3Service) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, service.clone()));
    }
}

async fn serve(stream: TcpStream, service: S3Service) {
    let _ = stream.set_nodelay(true);
    // A client that goes away in mid-request is its own business.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
