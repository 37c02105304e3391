//! A configuration under the names that it has in Java, for a worker of Kafka Connect: nothing is left to defaults that differ there.

use towpath_model::Config;

use crate::converter::{CONVERTERS, Class, json_options};
use crate::keys::{TransformType, predicates, transforms};

/// The same converters, transforms and predicates by the classes that they are in Java. Names that are unknown here stay.
pub fn in_java(config: &Config) -> Config {
    let mut java = config.clone();
    for prefix in ["key.converter", "value.converter"] {
        let Ok(class) = Class::of(config, prefix, &CONVERTERS, Class::Json) else { continue };
        java.set(prefix, class.java());
        let envelope = format!("{prefix}.schemas.enable");
        if let (Class::Json, None, Ok(options)) = (class, config.get(&envelope), json_options(config, prefix)) {
            java.set(envelope, options.schemas.to_string());
        }
    }
    name(&mut java, "transforms", &transforms());
    name(&mut java, "predicates", &predicates());
    java
}

fn name(java: &mut Config, list: &str, known: &[TransformType]) {
    let aliases: Vec<String> = java.list(list).map(str::to_owned).collect();
    for alias in aliases {
        let key = format!("{list}.{alias}.type");
        let named =
            java.get(&key).and_then(|name| known.iter().find(|known| known.names.iter().any(|one| one == name)));
        if let Some(class) =
            named.and_then(|named| named.names.iter().find(|name| name.contains('.') && name.contains("transforms")))
        {
            java.set(key, class.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_defaults_here_is_said_there() {
        let config: Config = [
            ("value.converter", "json"),
            ("transforms", "a,b,c,d"),
            ("transforms.a.type", "Cast"),
            ("transforms.b.type", "ReplaceField$Key"),
            ("transforms.c.type", "ExtractNewRecordState"),
            ("transforms.d.type", "com.example.Own"),
            ("predicates", "p"),
            ("predicates.p.type", "TopicNameMatches"),
        ]
        .into_iter()
        .collect();
        let java = in_java(&config);
        let json = "org.apache.kafka.connect.json.JsonConverter";
        for (key, value) in [
            ("key.converter", json),
            ("key.converter.schemas.enable", "false"),
            ("value.converter", json),
            ("value.converter.schemas.enable", "false"),
            ("transforms.a.type", "org.apache.kafka.connect.transforms.Cast$Value"),
            ("transforms.b.type", "org.apache.kafka.connect.transforms.ReplaceField$Key"),
            ("transforms.c.type", "io.debezium.transforms.ExtractNewRecordState"),
            ("transforms.d.type", "com.example.Own"),
            ("predicates.p.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"),
        ] {
            assert_eq!(java.get(key), Some(value), "{key}");
        }
    }

    #[test]
    fn what_is_in_java_already_stays() {
        let json = "org.apache.kafka.connect.json.JsonConverter";
        let config: Config =
            [("key.converter", "org.apache.kafka.connect.storage.StringConverter"), ("value.converter", json)]
                .into_iter()
                .collect();
        let mut expected = config.clone();
        expected.set("value.converter.schemas.enable", "true");
        assert_eq!(in_java(&config), expected);
    }
}
