//! What is wrong with files and configurations.

use super::Blame::{Environment, Input};
use super::{Code, code};

pub(super) const CODES: &[Code] = &[
    code(
        "config.comma_in_list",
        Input,
        "An item of a list has a comma in it, and commas divide items.",
        "Write the whole list as one text, with \\, for the comma where the key's documentation allows it.",
    ),
    code(
        "config.defaults",
        Input,
        "`defaults.yaml` holds what cannot be shared: a name, or several documents.",
        "Move it into the files of the connectors.",
    ),
    code(
        "config.duplicate_key",
        Input,
        "A key is set twice, by nesting or under another of its names.",
        "Keep one of the two.",
    ),
    code(
        "config.duplicate_name",
        Input,
        "Two documents name the same connector; neither is applied.",
        "Give each its own `name`.",
    ),
    code(
        "config.empty_file",
        Input,
        "The file is empty. What ran of it keeps running, as an editor may be about to fill it.",
        "Fill it, or delete it to stop its connectors.",
    ),
    code("config.empty_key", Input, "A key is empty.", "Name it, or take it out."),
    code(
        "config.file_forbidden",
        Input,
        "A connector that was configured over REST names a file or folder of the worker's machine that it may not use.",
        "Allow its folder when the worker starts: --api-files. Or configure the connector in the worker's folder.",
    ),
    code(
        "config.invalid_value",
        Input,
        "The value is not of the key's type or not among those allowed.",
        "Write one that is; the message says which there are.",
    ),
    code(
        "config.io",
        Environment,
        "A file or folder of the configuration cannot be read or written.",
        "Look at its owner and rights.",
    ),
    code(
        "config.literal_secret",
        Input,
        "A secret stands in the file for all to read. It works, and is kept out of all that Towpath shows.",
        "Refer to it: ${env:NAME}, ${file:/path:key} or ${dir:/path:file}.",
    ),
    code(
        "config.missing_key",
        Input,
        "A key that the connector needs is not set.",
        "Set it. Where a similar key is set, it was probably meant.",
    ),
    code(
        "config.name_missing",
        Input,
        "A second document of a file has no name.",
        "Give it a `name`; the file's own name stands in for one document only.",
    ),
    code(
        "config.nested_list",
        Input,
        "A list holds something else than plain values.",
        "Write plain values, or a map whose keys join with dots.",
    ),
    code(
        "config.no_value",
        Input,
        "A key stands without a value and counts as not set.",
        "Write \"\" for an empty text, or take the line out.",
    ),
    code(
        "config.not_a_map",
        Input,
        "The document is no map of keys and values.",
        "A connector is written as `key: value` lines.",
    ),
    code(
        "config.secret_command",
        Environment,
        "A command that was asked for a secret is not known to the worker, or gave none.",
        "Name it when the worker starts: --secret-command NAME=PROGRAM. Call the program with the argument by hand, and look at what it prints and how it ends.",
    ),
    code(
        "config.secret_denied",
        Input,
        "A configuration that came over REST refers to a variable, file or command that it may not use.",
        "Allow it when the worker starts: --api-env, --api-paths, --api-secret-commands.",
    ),
    code(
        "config.secret_malformed",
        Input,
        "A reference to a secret lacks a part.",
        "Write ${file:/path:key}, ${dir:/path:file} or ${exec:command:argument}.",
    ),
    code(
        "config.secret_missing",
        Environment,
        "The variable, key or stored secret that is referred to is not there.",
        "Set it. The connector starts when it is there.",
    ),
    code(
        "config.secret_provider",
        Input,
        "A reference names no provider of secrets.",
        "There are env, file, dir, exec and secret.",
    ),
    code(
        "config.secret_store",
        Environment,
        "The store of secrets cannot be read or written, or is damaged.",
        "Look at secrets.json in the data directory, and at the disk.",
    ),
    code(
        "config.secret_unreadable",
        Environment,
        "The file that is referred to cannot be read.",
        "Look at its path, owner and rights. The connector starts when it can be read.",
    ),
    code(
        "config.syntax",
        Input,
        "The file is neither YAML nor JSON.",
        "Look at the place that is shown, and at the line before it.",
    ),
    code("config.too_large", Input, "The file is larger than any configuration is.", "Look whether it is one."),
    code("config.topics", Input, "A sink takes `topics` or `topics.regex`, exactly one of them.", "Set one."),
    code(
        "config.unknown_class",
        Input,
        "`connector.class` names no plugin, or one that is no connector.",
        "Look at `towpath plugin list` for what there is.",
    ),
    code("config.unknown_converter", Input, "No converter has this name.", "The message lists those there are."),
    code(
        "config.unknown_key",
        Input,
        "The connector does not know this key and ignores it.",
        "Look for a slip; the key that was probably meant is shown.",
    ),
    code(
        "config.unknown_predicate",
        Input,
        "No predicate has this name, or a transform names one that is not listed in `predicates`. Passing over it would let records through \
         that were not meant.",
        "Correct the name, or list it.",
    ),
    code("config.unknown_transform", Input, "No transform has this name.", "The message lists those there are."),
    code(
        "config.unlisted_predicate",
        Input,
        "A predicate has settings and is not listed in `predicates`, so that no transform can name it.",
        "List it, or take its settings out.",
    ),
    code(
        "config.unlisted_transform",
        Input,
        "A transform has settings and is not listed in `transforms`, so that it does nothing.",
        "List it, in the place where it is to run.",
    ),
    code("config.unreadable", Environment, "A file of the folder cannot be read.", "Look at its owner and rights."),
    code(
        "config.watch",
        Environment,
        "The folder cannot be watched for changes.",
        "Look at the system's limit of watches (fs.inotify.max_user_watches).",
    ),
];
