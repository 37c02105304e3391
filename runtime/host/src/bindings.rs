//! What wasmtime makes of `wit/`: the imports that the host fulfils once, and each exported interface beside them.
//!
//! Nothing here is written by hand. The exported interfaces share the types of `imports`, so a batch is one type whichever
//! world a component belongs to; resources are the capabilities' own types.
#![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]

pub(crate) mod imports {
    wasmtime::component::bindgen!({
        world: "towpath:connect/capabilities",
        path: "../../wit",
        imports: {
            "towpath:connect/logging": trappable,
            "towpath:connect/metrics": trappable,
            "towpath:connect/control": trappable,
            default: async | trappable,
        },
        with: {
            "towpath:connect/streams.connection": crate::capability::streams::Connection,
            "towpath:connect/object-store.store": crate::capability::object_store::Store,
            "towpath:connect/object-store.upload": crate::capability::object_store::Upload,
            "towpath:connect/scratch.file": crate::capability::scratch::File,
            "towpath:connect/files.reader": crate::capability::files::Reader,
            "towpath:connect/files.appender": crate::capability::files::Appender,
        },
        require_store_data_send: true,
    });
}

macro_rules! export {
    ($interface:ident, $inline:literal) => {
        pub(crate) mod $interface {
            wasmtime::component::bindgen!({
                inline: $inline,
                path: "../../wit",
                exports: { default: async },
                with: {
                    "towpath:connect/types": crate::bindings::imports::towpath::connect::types,
                    "towpath:connect/records": crate::bindings::imports::towpath::connect::records,
                },
                require_store_data_send: true,
            });
        }
    };
}

export!(connector, "package towpath:part; world part { export towpath:connect/connector@0.1.0; }");
export!(source, "package towpath:part; world part { export towpath:connect/source@0.1.0; }");
export!(shares, "package towpath:part; world part { export towpath:connect/shares@0.1.0; }");
export!(sink, "package towpath:part; world part { export towpath:connect/sink@0.1.0; }");
export!(transform, "package towpath:part; world part { export towpath:connect/transform@0.1.0; }");
