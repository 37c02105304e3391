//! Fetch sessions (KIP-227): a client names its partitions once and from then on what has changed of them; it is told of those alone that
//! have something to tell. Pure: requests and answers in and out, no clock, no IO.
//!
//! ```text
//! request (changes) ──> begin ──> request (all partitions) ──> read ──> answer (all) ──> end ──> answer (what is new)
//! ```
//! A session is an offer: who gets none names all partitions each time, which any client can. There are so many at a time; one that was
//! not used for a while gives way to a new one.

use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchResponse, TopicName};
use uuid::Uuid;

/// Sessions at a time, as in Kafka.
const SESSIONS_MAX: usize = 1_000;
/// Partitions in all of them.
const PARTITIONS_MAX: usize = 200_000;
/// One that was used within this time gives way to nobody, as in Kafka.
const KEPT_FOR: Duration = Duration::from_secs(120);
/// The epochs of requests that name all partitions: without a session, and with a new one.
const FINAL: i32 = -1;
const INITIAL: i32 = 0;

/// All sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    sessions: HashMap<i32, Session>,
    partitions: usize,
}

struct Session {
    /// What the next request must say.
    epoch: i32,
    used: Duration,
    partitions: IndexMap<Key, Kept>,
}

/// A partition as the client names it: by the id of its topic or by its name.
type Key = (Uuid, TopicName, i32);

struct Kept {
    asked: FetchPartition,
    /// High watermark, last stable offset and log start, as the client was last told.
    told: Option<(i64, i64, i64)>,
}

/// What a request is part of.
pub(crate) enum Ticket {
    /// Nothing: everything is answered.
    Alone,
    /// A session that begins: everything is answered.
    First(i32),
    /// A session that goes on: what is new is answered.
    Next(i32),
}

impl Sessions {
    /// Takes a request in; what is to be read for it, and what to hand back with the answer. `id` is for a session that begins.
    ///
    /// # Errors
    /// It goes on with a session that there is not, or not in the order of its requests.
    pub(crate) fn begin(
        &mut self,
        request: FetchRequest,
        id: i32,
        now: Duration,
    ) -> Result<(FetchRequest, Ticket), Code> {
        match request.session_epoch {
            FINAL | INITIAL => {
                self.forget(request.session_id);
                let wanted = request.session_epoch == INITIAL;
                let ticket = if wanted && self.create(&request, id, now) { Ticket::First(id) } else { Ticket::Alone };
                Ok((request, ticket))
            }
            epoch => {
                let session = self.sessions.get_mut(&request.session_id).ok_or(Code::FetchSessionIdNotFound)?;
                if session.epoch != epoch {
                    return Err(Code::InvalidFetchSessionEpoch);
                }
                session.epoch = epoch.checked_add(1).unwrap_or(1);
                session.used = now;
                let before = session.partitions.len();
                session.update(&request);
                self.partitions = self.partitions + session.partitions.len() - before;
                let ticket = Ticket::Next(request.session_id);
                let topics = session.topics();
                let overfull = self.partitions > PARTITIONS_MAX;
                if overfull {
                    // It grew beyond what there is room for: this request is served, the next one must begin anew.
                    self.forget(request.session_id);
                }
                Ok((request.with_topics(topics), if overfull { Ticket::Alone } else { ticket }))
            }
        }
    }

    /// Leaves out of an answer what the client knows.
    pub(crate) fn end(&mut self, ticket: &Ticket, mut answer: FetchResponse) -> FetchResponse {
        let (Ticket::First(id) | Ticket::Next(id)) = ticket else { return answer };
        // Another request of the client may have ended it meanwhile.
        let Some(session) = self.sessions.get_mut(id) else { return answer };
        let all = matches!(ticket, Ticket::First(_));
        let mut filled = false;
        for topic in &mut answer.responses {
            let (topic_id, name) = (topic.topic_id, topic.topic.clone());
            topic.partitions.retain(|partition| {
                let key = (topic_id, name.clone(), partition.partition_index);
                let has_records = partition.records.as_ref().is_some_and(|records| !records.is_empty());
                filled |= has_records;
                let news = session.is_news(&key, partition);
                all || has_records || news
            });
        }
        if filled {
            session.put_behind(&answer);
        }
        answer.responses.retain(|topic| !topic.partitions.is_empty());
        answer.with_session_id(*id)
    }

    fn create(&mut self, request: &FetchRequest, id: i32, now: Duration) -> bool {
        let wanted: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
        if wanted == 0 || id == 0 || self.sessions.contains_key(&id) {
            return false;
        }
        if self.sessions.len() >= SESSIONS_MAX || self.partitions + wanted > PARTITIONS_MAX {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used);
            let Some((oldest, _)) = oldest.filter(|(_, session)| now.saturating_sub(session.used) >= KEPT_FOR) else {
                return false;
            };
            self.forget(*oldest);
        }
        if self.partitions + wanted > PARTITIONS_MAX {
            return false;
        }
        let mut session = Session { epoch: 1, used: now, partitions: IndexMap::with_capacity(wanted) };
        session.update(request);
        self.partitions += session.partitions.len();
        self.sessions.insert(id, session);
        true
    }

    fn forget(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.partitions.len();
        }
    }
}

impl Session {
    fn update(&mut self, request: &FetchRequest) {
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                self.partitions.shift_remove(&(topic.topic_id, topic.topic.clone(), *partition));
            }
        }
        for topic in &request.topics {
            for partition in &topic.partitions {
                let key = (topic.topic_id, topic.topic.clone(), partition.partition);
                let told = self.partitions.get(&key).and_then(|kept| kept.told);
                self.partitions.insert(key, Kept { asked: partition.clone(), told });
            }
        }
    }

    /// All partitions, in the order in which they are to be read.
    fn topics(&self) -> Vec<FetchTopic> {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for ((id, name, _), kept) in &self.partitions {
            let same = |last: &&mut FetchTopic| last.topic_id == *id && last.topic == *name;
            match topics.last_mut().filter(same) {
                Some(last) => last.partitions.push(kept.asked.clone()),
                None => topics.push(
                    FetchTopic::default()
                        .with_topic_id(*id)
                        .with_topic(name.clone())
                        .with_partitions(vec![kept.asked.clone()]),
                ),
            }
        }
        topics
    }

    /// Whether the client has not been told this; from now on it has.
    fn is_news(&mut self, key: &Key, partition: &PartitionData) -> bool {
        let Some(kept) = self.partitions.get_mut(key) else { return true };
        let now = (partition.high_watermark, partition.last_stable_offset, partition.log_start_offset);
        let news = partition.error_code != 0 || kept.told != Some(now);
        kept.told = Some(now).filter(|_| partition.error_code == 0);
        news
    }

    /// Those that had records are read last the next time, so that none starves.
    fn put_behind(&mut self, answer: &FetchResponse) {
        for topic in &answer.responses {
            for partition in &topic.partitions {
                if partition.records.as_ref().is_some_and(|records| !records.is_empty()) {
                    let key = (topic.topic_id, topic.topic.clone(), partition.partition_index);
                    if let Some(index) = self.partitions.get_index_of(&key) {
                        self.partitions.move_index(index, self.partitions.len() - 1);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::fetch_request::ForgottenTopic;
    use kafka_protocol::messages::fetch_response::FetchableTopicResponse;
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn name() -> TopicName {
        TopicName(StrBytes::from_static_str("t"))
    }

    fn request(id: i32, epoch: i32, partitions: &[(i32, i64)]) -> FetchRequest {
        let one =
            |(index, offset): &(i32, i64)| FetchPartition::default().with_partition(*index).with_fetch_offset(*offset);
        let topic = FetchTopic::default().with_topic(name()).with_partitions(partitions.iter().map(one).collect());
        let topics = if partitions.is_empty() { Vec::new() } else { vec![topic] };
        FetchRequest::default().with_session_id(id).with_session_epoch(epoch).with_topics(topics)
    }

    fn asked(request: &FetchRequest) -> Vec<(i32, i64)> {
        let all = request.topics.iter().flat_map(|topic| &topic.partitions);
        all.map(|partition| (partition.partition, partition.fetch_offset)).collect()
    }

    /// An answer of partitions with their high watermarks and whether they have records.
    fn answer(partitions: &[(i32, i64, bool)]) -> FetchResponse {
        let one = |(index, end, records): &(i32, i64, bool)| {
            let records = if *records { Bytes::from_static(b"r") } else { Bytes::new() };
            PartitionData::default().with_partition_index(*index).with_high_watermark(*end).with_records(Some(records))
        };
        let topic = FetchableTopicResponse::default().with_topic(name());
        FetchResponse::default().with_responses(vec![topic.with_partitions(partitions.iter().map(one).collect())])
    }

    fn told(answer: &FetchResponse) -> Vec<i32> {
        let all = answer.responses.iter().flat_map(|topic| &topic.partitions);
        all.map(|partition| partition.partition_index).collect()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_client_names_its_partitions_once_and_is_told_what_is_new() {
        let mut sessions = Sessions::default();
        let (read, ticket) = sessions.begin(request(0, 0, &[(0, 5), (1, 5), (2, 5)]), 77, at(0)).expect("begun");
        assert_eq!(asked(&read), [(0, 5), (1, 5), (2, 5)]);
        let first = sessions.end(&ticket, answer(&[(0, 6, true), (1, 5, false), (2, 5, false)]));
        assert_eq!((first.session_id, told(&first)), (77, vec![0, 1, 2]), "at first all are told");
        let (read, ticket) = sessions.begin(request(77, 1, &[(0, 6)]), 78, at(1)).expect("goes on");
        assert_eq!(asked(&read), [(1, 5), (2, 5), (0, 6)], "what had records comes last");
        let next = sessions.end(&ticket, answer(&[(1, 5, false), (2, 9, true), (0, 6, false)]));
        assert_eq!((next.session_id, told(&next)), (77, vec![2]));
        let forgotten = ForgottenTopic::default().with_topic(name()).with_partitions(vec![1]);
        let (read, ticket) = sessions
            .begin(request(77, 2, &[]).with_forgotten_topics_data(vec![forgotten]), 78, at(2))
            .expect("goes on");
        assert_eq!(asked(&read), [(0, 6), (2, 5)]);
        let quiet = sessions.end(&ticket, answer(&[(0, 6, false), (2, 9, false)]));
        assert_eq!((quiet.session_id, told(&quiet)), (77, Vec::new()));
    }

    #[test]
    fn errors_are_told_each_time_and_an_end_that_moved_without_records_is_news() {
        let mut sessions = Sessions::default();
        let (_, ticket) = sessions.begin(request(0, 0, &[(0, 5), (1, 5)]), 77, at(0)).expect("begun");
        let _ = sessions.end(&ticket, answer(&[(0, 5, false), (1, 5, false)]));
        for epoch in 1..3 {
            let (_, ticket) = sessions.begin(request(77, epoch, &[]), 0, at(1)).expect("goes on");
            let mut failing = answer(&[(0, 5, false), (1, 5, false)]);
            failing.responses[0].partitions[1].error_code = 3;
            assert_eq!(told(&sessions.end(&ticket, failing)), [1]);
        }
        let (_, ticket) = sessions.begin(request(77, 3, &[]), 0, at(1)).expect("goes on");
        assert_eq!(
            told(&sessions.end(&ticket, answer(&[(0, 8, false), (1, 5, false)]))),
            [0, 1],
            "and that it is over"
        );
    }

    #[test]
    fn a_session_goes_on_in_order_or_not_at_all() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.begin(request(9, 1, &[]), 77, at(0)).err(), Some(Code::FetchSessionIdNotFound));
        sessions.begin(request(0, 0, &[(0, 5)]), 77, at(0)).expect("begun");
        assert_eq!(sessions.begin(request(77, 2, &[]), 78, at(0)).err(), Some(Code::InvalidFetchSessionEpoch));
        assert!(sessions.begin(request(77, 1, &[]), 78, at(0)).is_ok());
        let (_, ticket) = sessions.begin(request(77, -1, &[]), 78, at(0)).expect("ended");
        assert!(matches!(ticket, Ticket::Alone));
        assert_eq!(sessions.begin(request(77, 2, &[]), 78, at(0)).err(), Some(Code::FetchSessionIdNotFound));
    }

    #[test]
    fn there_are_so_many_sessions_and_only_unused_ones_give_way() {
        let mut sessions = Sessions::default();
        let begin = |sessions: &mut Sessions, id, now| {
            let (_, ticket) = sessions.begin(request(0, 0, &[(0, 0)]), id, now).expect("served");
            matches!(ticket, Ticket::First(_))
        };
        for id in 1..=1_000 {
            assert!(begin(&mut sessions, id, at(0)));
        }
        assert!(!begin(&mut sessions, 2_000, at(119)), "all are in use");
        sessions.begin(request(1, 1, &[]), 0, at(119)).expect("in use");
        assert!(begin(&mut sessions, 2_000, at(120)));
        assert!(sessions.begin(request(1, 2, &[]), 0, at(120)).is_ok(), "the one in use was not taken");
        assert_eq!((sessions.sessions.len(), sessions.partitions), (1_000, 1_000));
    }
}
