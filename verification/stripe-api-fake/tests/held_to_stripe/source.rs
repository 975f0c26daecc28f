//! What the code reads of Stripe's objects, from the code itself: every struct that is deserialized, every open enum.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Fields, Ident, Item, ItemEnum, ItemStruct, LitStr, Token, Type, braced};

/// A field of a struct.
#[derive(Clone)]
pub(crate) struct Field {
    /// As it is in JSON.
    pub(crate) name: String,
    pub(crate) kind: Type,
    /// Whether it may be absent.
    pub(crate) default: bool,
    /// Whether a function of its own reads it, which may take null.
    pub(crate) read_by_function: bool,
}

/// Something that is deserialized.
#[derive(Clone)]
pub(crate) enum Known {
    Struct(Vec<Field>),
    /// `open_enum!`: the values it knows.
    Values(Vec<String>),
    /// `#[serde(untagged)]`: one of several types, or fields in place.
    Either(Vec<Either>),
}

#[derive(Clone)]
pub(crate) enum Either {
    Type(Type),
    Fields(Vec<Field>),
}

/// The types of one crate, by name.
pub(crate) type Types = BTreeMap<String, Known>;

/// The path of a folder or a file, as seen from the root.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Every type in the Rust files of a folder.
pub(crate) fn types_in(path: &str) -> Types {
    let mut types = Types::new();
    for file in files(&in_repository(path), "rs") {
        let text = fs::read_to_string(&file).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        parsed.items.iter().for_each(|item| collect(item, &mut types));
    }
    types
}

/// The names of the public functions of a type.
pub(crate) fn public_functions(path: &str, type_name: &str) -> Vec<String> {
    let parsed = syn::parse_file(&fs::read_to_string(in_repository(path)).unwrap()).unwrap();
    let mut names = Vec::new();
    for item in parsed.items {
        let Item::Impl(block) = item else { continue };
        let of_type = matches!(&*block.self_ty, Type::Path(path) if path.path.is_ident(type_name));
        if !of_type || block.trait_.is_some() {
            continue;
        }
        for item in block.items {
            if let syn::ImplItem::Fn(function) = item
                && matches!(function.vis, syn::Visibility::Public(_))
            {
                names.push(function.sig.ident.to_string());
            }
        }
    }
    assert!(!names.is_empty(), "{path} has no {type_name}");
    names
}

/// A function that makes or narrows a request, as its source says.
pub(crate) struct RequestFunction {
    pub(crate) name: String,
    /// `/v1/prices/{id}`; `None` when it narrows what another made.
    pub(crate) endpoint: Option<String>,
    pub(crate) parameters: Vec<String>,
}

/// The functions of `Request`, with the endpoints and parameters that they name.
pub(crate) fn requests_in(path: &str) -> Vec<RequestFunction> {
    let text = fs::read_to_string(in_repository(path)).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let functions = code.split("pub fn ").skip(1).map(|function| {
        // What follows the function's end belongs to the next.
        let body = function.split("\n    }\n").next().unwrap_or_default();
        let after = |call: &str| body.split(call).skip(1).filter_map(literal).collect::<Vec<_>>();
        let below = body.split("Self::below(").nth(1).map(|call| {
            let mut literals = call.split('"').skip(1).step_by(2);
            format!("{}/{{id}}/{}", literals.next().unwrap_or_default(), literals.next().unwrap_or_default())
        });
        let one = after("Self::one(").pop().map(|path| format!("{path}/{{id}}"));
        let list = after("Self::list(").pop();
        let limit = list.iter().chain(&below).map(|_| "limit".to_owned()).collect::<Vec<_>>();
        let expanded = after(".expand(").iter().map(|_| "expand[]".to_owned()).collect::<Vec<_>>();
        RequestFunction {
            name: function.split('(').next().unwrap_or_default().to_owned(),
            parameters: [after(".with("), limit, expanded].concat(),
            endpoint: below.or(one).or(list),
        }
    });
    functions.collect()
}

/// The text literal with which a call begins.
fn literal(call: &str) -> Option<String> {
    Some(call.trim_start().strip_prefix('"')?.split('"').next()?.to_owned())
}

/// Files of a kind, in a folder and all below it, or the file itself.
pub(crate) fn files(path: &Path, extension: &str) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
        let path = entry.unwrap().path();
        // Tests deserialize what they like.
        if path.is_dir() && path.file_name().is_none_or(|name| name != "tests" && name != "node_modules") {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|known| known == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn collect(item: &Item, types: &mut Types) {
    match item {
        Item::Struct(item) if is_deserialized(&item.attrs) => {
            types.insert(item.ident.to_string(), Known::Struct(fields_of(item)));
        }
        Item::Enum(item) if is_deserialized(&item.attrs) && serde_says(&item.attrs, "untagged").is_some() => {
            types.insert(item.ident.to_string(), Known::Either(variants_of(item)));
        }
        Item::Macro(item) if item.mac.path.is_ident("open_enum") => {
            let parsed: OpenEnum = item.mac.parse_body().unwrap();
            types.insert(parsed.name, Known::Values(parsed.values));
        }
        // Types inside functions are deserialized as well.
        Item::Fn(item) => nested(&item.block, types),
        Item::Impl(item) => {
            for item in &item.items {
                if let syn::ImplItem::Fn(function) = item {
                    nested(&function.block, types);
                }
            }
        }
        Item::Mod(item) => {
            for item in item.content.iter().flat_map(|(_, items)| items) {
                if !matches!(item, Item::Mod(_)) {
                    collect(item, types);
                }
            }
        }
        _ => {}
    }
}

fn nested(block: &syn::Block, types: &mut Types) {
    for statement in &block.stmts {
        if let syn::Stmt::Item(item) = statement {
            collect(item, types);
        }
    }
}

fn fields_of(item: &ItemStruct) -> Vec<Field> {
    let whole_default = serde_says(&item.attrs, "default").is_some();
    let mut fields = read_fields(&item.fields);
    fields.iter_mut().for_each(|field| field.default |= whole_default);
    fields
}

fn read_fields(fields: &Fields) -> Vec<Field> {
    let skipped = |field: &&syn::Field| serde_says(&field.attrs, "skip").is_none();
    let read = fields.iter().filter(skipped).filter_map(|field| {
        let name = field.ident.as_ref()?.to_string();
        Some(Field {
            name: serde_says(&field.attrs, "rename").flatten().unwrap_or(name),
            kind: field.ty.clone(),
            default: serde_says(&field.attrs, "default").is_some(),
            read_by_function: serde_says(&field.attrs, "deserialize_with").is_some(),
        })
    });
    read.collect()
}

fn variants_of(item: &ItemEnum) -> Vec<Either> {
    let either = |variant: &syn::Variant| match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Either::Type(fields.unnamed[0].ty.clone()),
        fields => Either::Fields(read_fields(fields)),
    };
    item.variants.iter().map(either).collect()
}

fn is_deserialized(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let mut found = false;
        if attribute.path().is_ident("derive") {
            let _other = attribute.parse_nested_meta(|meta| {
                found |= meta.path.segments.last().is_some_and(|part| part.ident == "Deserialize");
                Ok(())
            });
        }
        found
    })
}

/// What `#[serde(…)]` says under a name: `Some(None)` for a bare word.
fn serde_says(attributes: &[Attribute], name: &str) -> Option<Option<String>> {
    let mut said = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let _other = attribute.parse_nested_meta(|meta| {
            let value = match meta.value() {
                Ok(value) => Some(value.parse::<LitStr>()?.value()),
                Err(_) => None,
            };
            if meta.path.is_ident(name) {
                said = Some(value);
            }
            Ok(())
        });
    }
    said
}

/// The body of `open_enum!`.
struct OpenEnum {
    name: String,
    values: Vec<String>,
}

impl Parse for OpenEnum {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Attribute::parse_outer(input)?;
        let name = input.parse::<Ident>()?.to_string();
        let body;
        braced!(body in input);
        let mut values = Vec::new();
        while !body.is_empty() {
            Attribute::parse_outer(&body)?;
            body.parse::<Ident>()?;
            body.parse::<Token![=]>()?;
            values.push(body.parse::<LitStr>()?.value());
            body.parse::<Option<Token![,]>>()?;
        }
        Ok(Self { name, values })
    }
}
