//! What a record costs on its way over the boundary, from guest to host: a thousand records of 16 B keys and 200 B values,
//! built in the guest, copied out and checked.
//!
//! Needs the component of the tests: `cargo build --release --target wasm32-wasip2 -p towpath-test-guests`.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use towpath_host::{Host, HostConfig, Limits};
use towpath_model::{ConnectorName, Metric, Plugins, Source, SystemClock, TaskContext, TaskId, Telemetry};

struct Deaf;

impl Telemetry for Deaf {
    fn metrics(&self, _metrics: Vec<Metric>) {}
    fn request_reconfiguration(&self, _reason: String) {}
    fn usage(&self, _memory_bytes: u64, _busy: Duration) {}
}

fn boundary(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut source = runtime.block_on(task(folder.path().to_owned()));
    let mut group = criterion.benchmark_group("boundary");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("guest to host, 1,000 records", |bencher| {
        bencher.iter(|| runtime.block_on(source.poll(Duration::ZERO, 1_000, 1 << 20)).expect("records"));
    });
    group.finish();
}

async fn task(folder: PathBuf) -> Box<dyn Source> {
    let own = std::env::current_exe().expect("a benchmark has a path");
    let target = own.ancestors().nth(3).expect("it is built into <target>/<profile>/deps").to_owned();
    let config = HostConfig {
        embedded: Vec::new(),
        plugins_dir: None,
        pipelines_dir: target.join("wasm32-wasip2/release"),
        cache_dir: folder.join("cache"),
        scratch_dir: folder.join("scratch"),
        limits: Limits::default(),
        allow_link_local: false,
        compiler: None,
    };
    let host = Host::new(config, Arc::new(SystemClock::default())).expect("the host starts");
    let plugin = host.find("./towpath_test_guests.wasm").expect("the component is built");
    let context = TaskContext {
        task: TaskId { connector: ConnectorName::new("bench"), task: 0 },
        config: [("mode", "batch")].into_iter().collect(),
        redactor: towpath_model::Redactor::default(),
        run_id: "run".into(),
        epoch: 1,
        buffer_bytes_max: 1 << 20,
        telemetry: Arc::new(Deaf),
    };
    let (mut source, _interrupt) = plugin.source(context).await.expect("a task");
    source.open(Vec::new()).await.expect("it opens");
    source
}

criterion_group!(benches, boundary);
criterion_main!(benches);
