//! What wit-bindgen makes of `wit/`: the imports once, and each exported interface beside them.
//!
//! Nothing here is written by hand or meant to be called by authors. A component exports two interfaces: `connector` and the
//! one of its kind. Each is generated alone, as a world of its own that shares the types of `imports`; linked together they
//! make up the component's world in `wit/world.wit`.
#![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]

pub use wit_bindgen::rt;

pub mod imports {
    wit_bindgen::generate!({
        world: "capabilities",
        path: "../../wit",
        generate_all,
        runtime_path: "::towpath_sdk::bindings::rt",
    });
}

macro_rules! export {
    ($interface:ident, $inline:literal, $world:literal, $bindings:literal) => {
        pub mod $interface {
            wit_bindgen::generate!({
                inline: $inline,
                path: "../../wit",
                world: $world,
                pub_export_macro: true,
                export_macro_name: "export",
                default_bindings_module: $bindings,
                runtime_path: "::towpath_sdk::bindings::rt",
                with: {
                    "towpath:connect/types@0.1.0": ::towpath_sdk::bindings::imports::towpath::connect::types,
                    "towpath:connect/records@0.1.0": ::towpath_sdk::bindings::imports::towpath::connect::records,
                },
            });
        }
    };
}

export!(
    connector,
    "package towpath:connector-part; world connector-part { export towpath:connect/connector@0.1.0; }",
    "towpath:connector-part/connector-part",
    "::towpath_sdk::bindings::connector"
);
export!(
    source,
    "package towpath:source-part; world source-part { export towpath:connect/source@0.1.0; }",
    "towpath:source-part/source-part",
    "::towpath_sdk::bindings::source"
);
export!(
    shares,
    "package towpath:shares-part; world shares-part { export towpath:connect/shares@0.1.0; }",
    "towpath:shares-part/shares-part",
    "::towpath_sdk::bindings::shares"
);
export!(
    sink,
    "package towpath:sink-part; world sink-part { export towpath:connect/sink@0.1.0; }",
    "towpath:sink-part/sink-part",
    "::towpath_sdk::bindings::sink"
);
export!(
    transform,
    "package towpath:transform-part; world transform-part { export towpath:connect/transform@0.1.0; }",
    "towpath:transform-part/transform-part",
    "::towpath_sdk::bindings::transform"
);
