//! The log's errors as Kafka's error codes. A code decides what a client does next: try again, ask for metadata, or give up.

use kafka_protocol::error::ResponseError as Code;
use towpath_log::Error;

/// No error.
pub(crate) const NONE: i16 = 0;

/// The code of an error of the log.
pub(crate) fn of(error: &Error) -> Code {
    match error {
        Error::UnknownTopic(_) | Error::UnknownPartition { .. } => Code::UnknownTopicOrPartition,
        Error::TopicExists(_) => Code::TopicAlreadyExists,
        Error::InvalidTopic { .. } => Code::InvalidTopicException,
        Error::InvalidConfig { key, .. } if key == "partitions" => Code::InvalidPartitions,
        Error::InvalidConfig { .. } => Code::InvalidConfig,
        Error::OffsetOutOfRange { .. } => Code::OffsetOutOfRange,
        Error::RecordTooLarge { .. } | Error::CommitTooLarge { .. } => Code::MessageTooLarge,
        Error::KeyMissing { .. } | Error::InvalidBatch { .. } => Code::InvalidRecord,
        Error::BatchDamaged { .. } => Code::CorruptMessage,
        Error::InvalidTimestamp { .. } => Code::InvalidTimestamp,
        Error::OutOfOrderSequence { .. } => Code::OutOfOrderSequenceNumber,
        Error::UnknownProducer { .. } => Code::UnknownProducerId,
        Error::ProducerFenced { .. } => Code::InvalidProducerEpoch,
        Error::UnknownTransaction { .. } => Code::InvalidProducerIdMapping,
        Error::TransactionFenced { .. } => Code::ProducerFenced,
        Error::InvalidTransactionState { .. } => Code::InvalidTxnState,
        Error::InvalidTransactionTimeout { .. } => Code::InvalidTransactionTimeout,
        Error::InvalidGroupOffset { .. } => Code::OffsetMetadataTooLarge,
        // The client tries again; the disk may have room or be quicker then.
        Error::Overloaded { .. } => Code::RequestTimedOut,
        Error::DiskFull(_) => Code::KafkaStorageError,
        Error::Closed(_) | Error::Io { .. } | Error::Corrupt(_) => Code::KafkaStorageError,
        Error::Locked(_) | Error::UnsupportedFormat { .. } => Code::UnknownServerError,
    }
}

/// The code of an error of the coordinator of transactions. `knows_fencing` is false for clients from before there was a code of its
/// own for that.
pub(crate) fn of_transaction(error: &Error, knows_fencing: bool) -> Code {
    match error {
        Error::TransactionFenced { .. } if !knows_fencing => Code::InvalidProducerEpoch,
        // The client asks again, and finds room then.
        Error::DiskFull(_) | Error::Overloaded { .. } | Error::Closed(_) => Code::CoordinatorNotAvailable,
        other => of(other),
    }
}

/// The code of an error of an append.
pub(crate) fn of_produce(error: &Error) -> Code {
    match error {
        Error::TransactionFenced { .. } => Code::InvalidProducerEpoch,
        other => of(other),
    }
}

/// The number of a result's code.
pub(crate) fn number<T>(result: &Result<T, Error>) -> i16 {
    result.as_ref().err().map_or(NONE, |error| of(error).code())
}
