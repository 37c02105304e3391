//! Subjects: under which name the schema of a topic's keys or values is registered.

/// How a subject is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Strategy {
    /// After the topic, with `-key` or `-value`.
    #[default]
    Topic,
    /// After the record's full name.
    Record,
    /// After both.
    TopicRecord,
}

impl Strategy {
    pub(super) const NAMES: [&str; 3] = ["TopicNameStrategy", "RecordNameStrategy", "TopicRecordNameStrategy"];

    /// The strategy of this name, with or without the package of Confluent's classes.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix("io.confluent.kafka.serializers.subject.").unwrap_or(name);
        let place = Self::NAMES.iter().position(|known| *known == name)?;
        [Self::Topic, Self::Record, Self::TopicRecord].into_iter().nth(place)
    }

    /// The subject; none where it is named after a record and there is no record.
    pub(super) fn subject(self, topic: &str, is_key: bool, record: Option<&str>) -> Option<String> {
        Some(match self {
            Self::Topic => format!("{topic}-{}", if is_key { "key" } else { "value" }),
            Self::Record => record?.to_owned(),
            Self::TopicRecord => format!("{topic}-{}", record?),
        })
    }
}
