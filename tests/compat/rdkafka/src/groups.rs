//! Groups: members come, are killed, come back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use rdkafka::admin::AdminOptions;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;

use crate::{Broker, PATIENCE, list, next, same, values, write};

const PARTITIONS: i32 = 4;

pub(crate) async fn go_on(broker: &Broker) -> Result<()> {
    let (topic, group) = (broker.topic("committed", 1).await?, broker.name("group"));
    write(&broker.producer(&[])?, &topic, 0, &["0", "1", "2", "3", "4"]).await?;
    let first = broker.consumer(&group, &[])?;
    first.subscribe(&[&topic])?;
    same(values(&first, 2).await?, vec!["0".to_owned(), "1".to_owned()])?;
    first.commit_message(&next(&first).await?, CommitMode::Sync)?;
    let committed = first.committed_offsets(list(&[(&topic, 0, Offset::Invalid)])?, PATIENCE)?;
    same(committed.find_partition(&topic, 0).map(|found| found.offset()), Some(Offset::Offset(3)))?;
    let groups = first.fetch_group_list(Some(&group), PATIENCE)?;
    let shown = groups.groups().first().context("the group is not shown")?;
    same((shown.state(), shown.members().len()), ("Stable", 1))?;
    drop(first);
    let second = broker.consumer(&group, &[])?;
    second.subscribe(&[&topic])?;
    same(values(&second, 2).await?, vec!["3".to_owned(), "4".to_owned()])?;
    drop(second);
    let deleted = broker.admin()?.delete_groups(&[&group], &AdminOptions::new()).await?;
    same(deleted, vec![Ok(group)])
}

/// A member in a process of its own reads some records and is killed; another reads all that the first one had not committed.
pub(crate) async fn take_over(broker: &Broker) -> Result<()> {
    for strategy in ["range", "roundrobin", "cooperative-sticky"] {
        let (topic, group) = (broker.topic("killed", PARTITIONS).await?, broker.name("group"));
        let producer = broker.producer(&[])?;
        for partition in 0..PARTITIONS {
            write(&producer, &topic, partition, &["0", "1", "2", "3"]).await?;
        }
        let mut member = Killed(
            Command::new(std::env::current_exe()?)
                .args(["member", &broker.address, &group, &topic, strategy])
                .stdout(Stdio::piped())
                .spawn()?,
        );
        let mut told = BufReader::new(member.0.stdout.take().context("no output")?).lines();
        // It has read something and committed none of it.
        told.next().context("the member has ended")??;
        let other = broker.consumer(&group, &[("partition.assignment.strategy", strategy)])?;
        other.subscribe(&[&topic])?;
        member.0.kill()?;
        let mut found = vec![0; PARTITIONS as usize];
        for _ in 0..PARTITIONS * 4 {
            let record = next(&other).await.with_context(|| format!("{strategy}: {found:?}"))?;
            found[record.partition() as usize] += 1;
        }
        same(found, vec![4; PARTITIONS as usize])?;
    }
    Ok(())
}

/// Reads and says so, until it is killed.
pub(crate) async fn be_a_member(broker: &Broker, group: &str, topic: &str, strategy: &str) -> Result<()> {
    let consumer = broker.consumer(group, &[("partition.assignment.strategy", strategy)])?;
    consumer.subscribe(&[topic])?;
    loop {
        let record = next(&consumer).await?;
        println!("{} {}", record.partition(), record.offset());
        std::io::stdout().flush()?;
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing stays behind.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Counts how often a member's partitions change.
#[derive(Clone, Default)]
struct Rebalances(Arc<AtomicU32>);

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) async fn keep_places(broker: &Broker) -> Result<()> {
    let (topic, group) = (broker.topic("static", PARTITIONS).await?, broker.name("group"));
    let rebalances = Rebalances::default();
    let member = |instance: &str, counted: Rebalances| -> Result<StreamConsumer<Rebalances>> {
        let config = broker.config(&[
            ("group.id", &group),
            ("group.instance.id", instance),
            ("session.timeout.ms", "30000"),
            ("auto.offset.reset", "earliest"),
        ]);
        let consumer: StreamConsumer<Rebalances> = config.create_with_context(counted)?;
        consumer.subscribe(&[&topic])?;
        Ok(consumer)
    };
    let stays = member("stays", rebalances.clone())?;
    let goes = member("goes", Rebalances::default())?;
    let share = PARTITIONS as usize / 2;
    let both_have_half = async || -> Result<()> {
        tokio::time::timeout(PATIENCE, async {
            // Polling serves rebalances, too.
            while stays.assignment()?.count() != share || goes.assignment()?.count() != share {
                for member in [&stays, &goes] {
                    let _ = tokio::time::timeout(std::time::Duration::from_millis(50), member.recv()).await;
                }
            }
            anyhow::Ok(())
        })
        .await
        .context("the members do not share the topic")?
    };
    both_have_half().await?;
    let had = goes.assignment()?.to_topic_map().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let before = rebalances.0.load(Ordering::SeqCst);
    drop(goes);
    let back = member("goes", Rebalances::default())?;
    write(&broker.producer(&[])?, &topic, had.iter().next().context("nothing was assigned")?.1, &["for it"]).await?;
    let record = tokio::time::timeout(PATIENCE, back.recv()).await.context("it reads nothing")??;
    same(record.payload(), Some(b"for it".as_slice()))?;
    let has = back.assignment()?.to_topic_map().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    same(has, had)?;
    ensure!(rebalances.0.load(Ordering::SeqCst) == before, "the other one was rebalanced");
    Ok(())
}
