//! Groups: who is in them, how far they have come, and where they are to go on.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest,
    ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest,
};
use towpath_model::TopicPartition;

use super::{Admin, AdminError, Transport, checked, text};
use crate::group::consumer_protocol;
use crate::node::topic_name;

pub(super) const LATEST: i64 = -1;
pub(super) const EARLIEST: i64 = -2;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// Its name.
    pub group: String,
    /// Its state, such as `Stable` and `Empty`.
    pub state: String,
    /// What its members speak, such as `consumer`; empty where it never had any.
    pub protocol_type: String,
    /// `Classic` or `Consumer`.
    pub group_type: String,
}

/// A group as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its name.
    pub group: String,
    /// Its state.
    pub state: String,
    /// How partitions are assigned.
    pub protocol: String,
    /// Its members.
    pub members: Vec<GroupMember>,
    /// How far it has come, partition by partition.
    pub positions: Vec<GroupPosition>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub member_id: String,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// Its partitions, where its protocol is that of consumers.
    pub partitions: Vec<TopicPartition>,
}

/// How far a group has come in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPosition {
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to read; none where nothing is committed.
    pub committed: Option<i64>,
    /// A text of the consumer's own.
    pub metadata: String,
    /// The first offset that is kept, where the partition exists.
    pub start: Option<i64>,
    /// The offset after the last record.
    pub end: Option<i64>,
    /// The member that reads it.
    pub member_id: Option<String>,
}

impl GroupPosition {
    /// How many records are left to read; none where nothing is committed.
    pub fn lag(&self) -> Option<i64> {
        Some((self.end? - self.committed?.max(self.start?)).max(0))
    }

    /// How many records are gone that were never read.
    pub fn lost(&self) -> i64 {
        let lost = |(start, committed): (i64, i64)| (start - committed).max(0);
        self.start.zip(self.committed).map_or(0, lost)
    }
}

/// Where a group is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// At the first record that is kept.
    Earliest,
    /// At the end.
    Latest,
    /// At this offset, or the nearest that there is.
    Offset(i64),
    /// At the first record of this time or later, in milliseconds since the epoch; at the end where there is none.
    Time(i64),
    /// So many records further on, or back.
    ShiftBy(i64),
    /// Where it is, or the nearest offset that there is.
    Current,
}

/// A position of a group and what it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The partition.
    pub partition: TopicPartition,
    /// What is committed.
    pub from: Option<i64>,
    /// What is to be committed.
    pub to: i64,
}

impl<T: Transport> Admin<T> {
    /// All groups, or those in one of these states.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn groups(&mut self, states: &[String]) -> Result<Vec<GroupListing>, AdminError> {
        let states = states.iter().map(|state| text(state)).collect();
        let answer = self.ask(5, &ListGroupsRequest::default().with_states_filter(states)).await?;
        checked(answer.error_code, None, "groups")?;
        let listing = |group: kafka_protocol::messages::list_groups_response::ListedGroup| GroupListing {
            group: group.group_id.to_string(),
            state: group.group_state.to_string(),
            protocol_type: group.protocol_type.to_string(),
            group_type: group.group_type.to_string(),
        };
        Ok(answer.groups.into_iter().map(listing).collect())
    }

    /// One group with its members and positions.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn describe_group(&mut self, group: &str) -> Result<GroupDescription, AdminError> {
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
        let answer = self.ask(6, &request).await?;
        let found = answer.groups.into_iter().next();
        let found = found.ok_or_else(|| AdminError::Unsound("it names no group".to_owned()))?;
        if let Err(missing) = checked(found.error_code, None, format_args!("group {group}")) {
            return self.describe_consumer_group(group, missing).await;
        }
        let members: Vec<GroupMember> = found
            .members
            .into_iter()
            .map(|member| GroupMember {
                member_id: member.member_id.to_string(),
                client_id: member.client_id.to_string(),
                client_host: member.client_host.to_string(),
                partitions: assigned(&member.member_assignment),
            })
            .collect();
        let positions = self.positions(group, &members).await?;
        let (state, protocol) = (found.group_state.to_string(), found.protocol_data.to_string());
        Ok(GroupDescription { group: group.to_owned(), state, protocol, members, positions })
    }

    /// A group of the newer protocol, which those who ask for the classic one are not told of.
    async fn describe_consumer_group(
        &mut self,
        group: &str,
        missing: AdminError,
    ) -> Result<GroupDescription, AdminError> {
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(group))]);
        let answer = self.ask(1, &request).await?;
        let Some(found) = answer.groups.into_iter().find(|found| found.error_code == 0) else { return Err(missing) };
        let partitions = |topic: kafka_protocol::messages::consumer_group_describe_response::TopicPartitions| {
            let name = topic.topic_name.to_string();
            topic.partitions.into_iter().map(move |partition| TopicPartition::new(name.as_str(), partition))
        };
        let member = |member: kafka_protocol::messages::consumer_group_describe_response::Member| GroupMember {
            member_id: member.member_id.to_string(),
            client_id: member.client_id.to_string(),
            client_host: member.client_host.to_string(),
            partitions: member.assignment.topic_partitions.into_iter().flat_map(partitions).collect(),
        };
        let members: Vec<GroupMember> = found.members.into_iter().map(member).collect();
        let positions = self.positions(group, &members).await?;
        let (state, protocol) = (found.group_state.to_string(), found.assignor_name.to_string());
        Ok(GroupDescription { group: group.to_owned(), state, protocol, members, positions })
    }

    /// Deletes a group without members, with all that it has committed.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn delete_group(&mut self, group: &str) -> Result<(), AdminError> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        let answer = self.ask(2, &request).await?;
        answer.results.iter().map(|one| checked(one.error_code, None, format_args!("group {group}"))).collect()
    }

    /// What a reset would do: of all partitions of `topics`, or where none is named of those with a position.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn plan_reset(&mut self, group: &str, topics: &[String], to: ResetTo) -> Result<Vec<Reset>, AdminError> {
        let committed = self.committed(group).await?;
        let mut wanted: Vec<(TopicPartition, Option<i64>)> = Vec::new();
        if topics.is_empty() {
            wanted.extend(committed.iter().map(|(partition, (offset, _))| (partition.clone(), Some(*offset))));
        }
        for topic in topics {
            for partition in 0..self.partitions(topic, false).await? {
                let partition = TopicPartition::new(topic.as_str(), partition);
                let from = committed.get(&partition).map(|(offset, _)| *offset);
                wanted.push((partition, from));
            }
        }
        if wanted.is_empty() {
            return Err(AdminError::Invalid(format!(
                "group {group} has committed nothing. Name its topics with --topic"
            )));
        }
        let partitions: Vec<TopicPartition> = wanted.iter().map(|(partition, _)| partition.clone()).collect();
        let starts = self.offsets_at(&partitions, EARLIEST).await?;
        let ends = self.offsets_at(&partitions, LATEST).await?;
        let times = match to {
            ResetTo::Time(time) => self.offsets_at(&partitions, time).await?,
            _ => BTreeMap::new(),
        };
        let mut plan = Vec::with_capacity(wanted.len());
        for (partition, from) in wanted {
            let (Some(start), Some(end)) = (starts.get(&partition), ends.get(&partition)) else {
                return Err(AdminError::Invalid(format!("{partition} does not exist any more")));
            };
            let aim = match to {
                ResetTo::Earliest => *start,
                ResetTo::Latest => *end,
                ResetTo::Offset(offset) => offset,
                ResetTo::Time(_) => times.get(&partition).copied().unwrap_or(*end),
                ResetTo::ShiftBy(by) => from.unwrap_or(*start).saturating_add(by),
                ResetTo::Current => from.unwrap_or(*end),
            };
            plan.push(Reset { partition, from, to: aim.clamp(*start, *end) });
        }
        Ok(plan)
    }

    /// Carries a reset out: all of it or nothing.
    ///
    /// # Errors
    /// [`AdminError`], of which one is that the group has members.
    pub async fn reset(&mut self, group: &str, plan: &[Reset]) -> Result<(), AdminError> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for Reset { partition, to, .. } in plan {
            let part = OffsetCommitRequestPartition::default()
                .with_partition_index(partition.partition)
                .with_committed_offset(*to)
                .with_committed_metadata(Some(text("")));
            topics.entry(&partition.topic).or_default().push(part);
        }
        let topic = |(name, partitions): (&str, Vec<_>)| {
            OffsetCommitRequestTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        };
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics.into_iter().map(topic).collect());
        let answer = self.ask(8, &request).await?;
        let parts = answer.topics.iter().flat_map(|topic| &topic.partitions);
        parts.map(|part| checked(part.error_code, None, format_args!("group {group}"))).collect()
    }

    async fn positions(&mut self, group: &str, members: &[GroupMember]) -> Result<Vec<GroupPosition>, AdminError> {
        let mut all: BTreeMap<TopicPartition, (Option<(i64, String)>, Option<String>)> = BTreeMap::new();
        for (partition, committed) in self.committed(group).await? {
            all.entry(partition).or_default().0 = Some(committed);
        }
        for member in members {
            for partition in &member.partitions {
                all.entry(partition.clone()).or_default().1 = Some(member.member_id.clone());
            }
        }
        let partitions: Vec<TopicPartition> = all.keys().cloned().collect();
        let starts = self.offsets_at(&partitions, EARLIEST).await?;
        let ends = self.offsets_at(&partitions, LATEST).await?;
        let position = |(partition, (committed, member_id)): (TopicPartition, (Option<(i64, String)>, _))| {
            let (start, end) = (starts.get(&partition).copied(), ends.get(&partition).copied());
            let (committed, metadata) = committed.map_or((None, String::new()), |(at, text)| (Some(at), text));
            GroupPosition { partition, committed, metadata, start, end, member_id }
        };
        Ok(all.into_iter().map(position).collect())
    }

    pub(super) async fn committed(
        &mut self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, (i64, String)>, AdminError> {
        let wanted = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(None);
        let answer = self.ask(8, &OffsetFetchRequest::default().with_groups(vec![wanted])).await?;
        let mut committed = BTreeMap::new();
        for found in answer.groups {
            checked(found.error_code, None, format_args!("group {group}"))?;
            for topic in found.topics {
                for part in topic.partitions.into_iter().filter(|part| part.committed_offset >= 0) {
                    let partition = TopicPartition::new(topic.name.as_str(), part.partition_index);
                    let metadata = part.metadata.unwrap_or_default().to_string();
                    committed.insert(partition, (part.committed_offset, metadata));
                }
            }
        }
        Ok(committed)
    }

    /// The offsets at a time, or at an end; those that do not exist are left out.
    pub(super) async fn offsets_at(
        &mut self,
        partitions: &[TopicPartition],
        time: i64,
    ) -> Result<BTreeMap<TopicPartition, i64>, AdminError> {
        self.list_offsets(partitions, time, 0).await
    }

    /// The same, as those see it who read at an isolation level.
    pub(super) async fn list_offsets(
        &mut self,
        partitions: &[TopicPartition],
        time: i64,
        isolation_level: i8,
    ) -> Result<BTreeMap<TopicPartition, i64>, AdminError> {
        let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for partition in partitions {
            let part = ListOffsetsPartition::default().with_partition_index(partition.partition).with_timestamp(time);
            topics.entry(&partition.topic).or_default().push(part);
        }
        let topic = |(name, partitions): (&str, Vec<_>)| {
            ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        };
        let request = ListOffsetsRequest::default()
            .with_isolation_level(isolation_level)
            .with_topics(topics.into_iter().map(topic).collect());
        let answer = self.ask(5, &request).await?;
        let mut found = BTreeMap::new();
        for topic in answer.topics {
            for part in topic.partitions.into_iter().filter(|part| part.error_code == 0 && part.offset >= 0) {
                found.insert(TopicPartition::new(topic.name.as_str(), part.partition_index), part.offset);
            }
        }
        Ok(found)
    }
}

/// The partitions in an assignment of the consumer protocol; none where it is something else.
fn assigned(assignment: &Bytes) -> Vec<TopicPartition> {
    consumer_protocol::read_assignment(assignment).into_iter().flat_map(consumer_protocol::partitions).collect()
}
