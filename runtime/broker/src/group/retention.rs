//! Committed offsets do not stay for ever: those of a group that has no members go when nothing was committed for the time of
//! `offsets.retention.minutes`, as in Kafka.
//!
//! When a group lost its members is not stored. Instead, offsets of groups that have members are committed anew once half of their time
//! has passed, so that the age of an offset alone decides, also after a crash. The sinks of the worker keep theirs for as long as they
//! are configured.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use towpath_log::{Appends, Commit, GroupOffset, GroupOffsets};

use crate::node::Node;
use crate::server::stopped;

/// How often offsets are looked at, as in Kafka. The first look leaves members time to come back after a restart.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// Looks at the offsets of all groups from time to time, until the broker ends.
pub(crate) async fn keep(node: &Node, mut shutdown: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = stopped(&mut shutdown) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        look(node).await;
    }
}

/// Looks at the offsets of all groups.
pub(crate) async fn look(node: &Node) {
    let Some(retention) = node.config.offsets_retention else { return };
    let residents = match &node.config.residents {
        Some(residents) if !residents.is_ready() => return,
        Some(residents) => residents.groups().into_iter().map(|one| one.group).collect(),
        None => BTreeSet::new(),
    };
    let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    for group in node.log.groups() {
        if residents.contains(&*group) {
            continue;
        }
        // Nobody commits in between, or what is written anew would be what was committed before.
        let _alone = node.commits.write().await;
        let has_members = node.has_members(&group);
        let age_max = if has_members { retention_ms / 2 } else { retention_ms };
        let now = node.clock.now_ms();
        let old = node.log.group_offsets_with_times(&group).into_iter();
        let old = old.filter(|(_, committed_ms)| now.saturating_sub(*committed_ms) >= age_max);
        let offsets: Vec<GroupOffset> =
            old.map(|(offset, _)| if has_members { offset } else { GroupOffset { offset: None, ..offset } }).collect();
        if offsets.is_empty() {
            continue;
        }
        let partitions = offsets.len();
        match node.log.commit_atomic(Commit { group_offsets: offsets, ..Commit::default() }).await {
            Ok(_) if has_members => {}
            Ok(_) => tracing::info!(%group, partitions, "offsets of a group without members have expired"),
            Err(error) => tracing::warn!(%group, %error, "offsets that have expired stay for now"),
        }
    }
}
