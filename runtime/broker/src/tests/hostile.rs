//! Clients that are broken or mean harm: they are cut off, and nobody else notices.

use std::time::Duration;

use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fuzz::resident_bytes;
use super::{Served, fetch, produce, produced, values_batch};

async fn is_served(served: &Served) {
    let answer = served.client().await.call(3, &ApiVersionsRequest::default()).await;
    assert_eq!(answer.error_code, 0);
}

#[tokio::test]
async fn garbage_ends_its_connection_and_no_other() {
    let served = Served::start().await;
    for seed in 0..300 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = vec![0; random.random_range(0..400)];
        random.fill_bytes(&mut bytes);
        let length = bytes.len() as i32;
        let mut frame = length.to_be_bytes().to_vec();
        if random.random_bool(0.7) && bytes.len() > 8 {
            // Something that has the head of a request.
            bytes[..2].copy_from_slice(&random.random_range(0i16..62).to_be_bytes());
            bytes[2..4].copy_from_slice(&random.random_range(0i16..14).to_be_bytes());
        }
        frame.extend_from_slice(&bytes);
        let mut client = served.client().await;
        client.stream.write_all(&frame).await.expect("sent");
        client.stream.shutdown().await.expect("no more to send");
        // An answer or none, but an end: a request that waits must not outlive who asked for ever.
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), client.stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "seed {seed} is not let go");
    }
    is_served(&served).await;
}

#[tokio::test]
async fn a_length_that_is_too_large_is_refused_before_anything_follows() {
    let served = Served::start().await;
    for frame in [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 0], &[0, 0x50, 0, 0, 0, 3]] {
        let mut client = served.client().await;
        client.stream.write_all(frame).await.expect("sent");
        assert_eq!(client.receive().await, None, "{frame:?}");
    }
    is_served(&served).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_and_is_cut_off() {
    let served = Served::start_with(|config| {
        config.limits.idle = Duration::from_secs(1);
        config.limits.connections = 2;
    })
    .await;
    let id = served.topic("orders", 1).await;
    let mut deaf = served.client().await;
    let large = "x".repeat(900_000);
    let answer = deaf.call(9, &produce("orders", uuid::Uuid::nil(), -1, &[(0, values_batch(&[&large]))])).await;
    assert_eq!(produced(&answer), [(0, 0)]);
    // It asks for far more than sockets can hold, and reads nothing.
    for _ in 0..500 {
        deaf.send(12, &fetch("orders", id, 0, &[(0, 0)])).await;
    }
    let before = resident_bytes();
    for _ in 0..20 {
        let answer = served.client().await.call(12, &fetch("orders", id, 0, &[(0, 0)])).await;
        assert_eq!(answer.responses.len(), 1, "others are served meanwhile");
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more for answers that nobody takes");
    // When its connection is closed, two others find room.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let (mut first, mut second) = (served.client().await, served.client().await);
        if first.is_answered().await && second.is_answered().await {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it is never cut off");
    }
}

#[tokio::test]
async fn too_many_connections_are_turned_away_and_idle_ones_are_closed() {
    let served = Served::start_with(|config| {
        config.limits.connections = 2;
        config.limits.idle = Duration::from_millis(500);
    })
    .await;
    let (mut first, mut second) = (served.client().await, served.client().await);
    first.call(3, &ApiVersionsRequest::default()).await;
    second.call(3, &ApiVersionsRequest::default()).await;
    let mut third = served.client().await;
    assert_eq!(third.receive().await, None);
    assert_eq!(first.receive().await, None, "nothing was asked for a while");
    assert_eq!(second.receive().await, None);
    is_served(&served).await;
}

#[tokio::test]
async fn half_a_request_costs_little_and_ends() {
    let served = Served::start_with(|config| config.limits.idle = Duration::from_millis(300)).await;
    let mut client = served.client().await;
    // It claims 90 MB of records and sends ten bytes.
    client.stream.write_all(&[5, 0x50, 0, 0, 0, 0, 0, 9, 0, 0]).await.expect("sent");
    assert_eq!(client.receive().await, None);
    let waiting = served.client().await.send(12, &FetchRequest::default()).await;
    assert_eq!(waiting, 1);
    is_served(&served).await;
}

#[tokio::test]
async fn hundreds_of_idle_connections_cost_little_and_hold_up_nobody() {
    // A soak asks for more, as far as the process may open files: it holds both ends.
    let wanted = std::env::var("TOWPATH_IDLE_CONNECTIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(400);
    let count = wanted.min(open_files_max() / 2 - 100);
    println!("{count} idle connections");
    let served = Served::start_with(|config| config.limits.connections = count + 10).await;
    let id = served.topic("orders", 1).await;
    let before = resident_bytes();
    let mut idle = Vec::with_capacity(count);
    for number in 0..count {
        let mut client = served.client().await;
        // Half of them have asked something, the others not even that.
        if number % 2 == 0 {
            client.call(3, &ApiVersionsRequest::default()).await;
        }
        idle.push(client);
    }
    let each = resident_bytes().saturating_sub(before) / count as u64;
    assert!(each < 64 << 10, "{each} bytes for each of {count} connections, both ends together");
    let mut client = served.client().await;
    let answer = client.call(9, &produce("orders", id, -1, &[(0, values_batch(&["a"]))])).await;
    assert_eq!(produced(&answer), [(0, 0)]);
    for client in idle.iter_mut().step_by(97) {
        assert!(client.is_answered().await, "one that was idle is served when it asks");
    }
    let open = served.handle.metrics().connections;
    assert_eq!(open, [("PLAINTEXT".to_owned(), count as u64 + 1)]);
}

fn open_files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(1_000)
}
