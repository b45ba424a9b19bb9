//! The OpenAPI description of a resource, made of the same constants that its lists, its SQL and its validation are made
//! of: what is documented cannot differ from what is served.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema};

use super::{Record, Resource};

/// A part of the document.
#[derive(Default)]
pub struct Operations {
    /// Path items by address.
    pub paths: Map<String, Value>,
    /// Schemas by name.
    pub schemas: Map<String, Value>,
}

impl Operations {
    /// Nothing yet.
    pub fn new() -> Operations {
        Operations::default()
    }

    /// Adds everything of another part.
    pub fn merge(&mut self, other: Operations) {
        for (address, item) in other.paths {
            self.add(&address, item);
        }
        self.schemas.extend(other.schemas);
    }

    /// Adds a business action on a record: `POST /x/{id}:verb`, answered with the record.
    pub fn action<Row: ToSchema, Input: ToSchema>(
        mut self,
        address: &str,
        summary: &str,
    ) -> Operations {
        self.schema::<Row>();
        let input = self.schema::<Input>();
        let mut operation = operation(
            summary,
            json!([id_parameter(), if_match()]),
            success("200", "The record as changed", &Row::name()),
        );
        operation["requestBody"] = body("application/json", &input);
        problems(&mut operation, &["404", "409", "412", "422", "428"]);
        self.add(address, json!({"post": operation}));
        self
    }

    /// Adds a short list without parameters below a record.
    pub fn history<Row: ToSchema>(mut self, address: &str, summary: &str) -> Operations {
        let row = self.schema::<Row>();
        let page = self.page(&row);
        let mut operation = operation(
            summary,
            json!([id_parameter()]),
            success("200", "The list", &page),
        );
        problems(&mut operation, &["400", "404"]);
        self.add(address, json!({"get": operation}));
        self
    }

    /// Adds a computed answer.
    pub fn report<Row: ToSchema>(
        mut self,
        address: &str,
        summary: &str,
        parameters: &[(&str, &str)],
    ) -> Operations {
        let row = self.schema::<Row>();
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|(name, description)| query(name, description))
            .collect();
        let mut operation = operation(
            summary,
            json!(parameters),
            success("200", "The answer", &row),
        );
        problems(&mut operation, &["400"]);
        self.add(address, json!({"get": operation}));
        self
    }

    /// Adds a schema and those that it refers to; returns its name.
    pub fn schema<T: ToSchema>(&mut self) -> String {
        let mut referenced = Vec::new();
        T::schemas(&mut referenced);
        referenced.push((T::name().into_owned(), T::schema()));
        for (name, schema) in referenced {
            let schema = serde_json::to_value(schema).expect("a schema is plain data");
            self.schemas.insert(name, schema);
        }
        T::name().into_owned()
    }

    fn page(&mut self, row: &str) -> String {
        let name = format!("{row}Page");
        let cursor = json!({"type": ["string", "null"], "description": "Where the next page starts; null on the last one"});
        let items = json!({"type": "array", "items": reference(row)});
        let schema = json!({"type": "object", "required": ["items", "next_cursor"], "properties": {"items": items, "next_cursor": cursor}});
        self.schemas.insert(name.clone(), schema);
        name
    }

    fn add(&mut self, address: &str, item: Value) {
        let entry = self.paths.entry(address).or_insert_with(|| json!({}));
        let (Some(entry), Value::Object(item)) = (entry.as_object_mut(), item) else {
            return;
        };
        entry.extend(item);
    }
}

/// The description of the common verbs of a resource.
pub fn operations<R: Resource>() -> Operations {
    let mut part = Operations::new();
    let row = part.schema::<R::Row>();
    let page = part.page(&row);
    let input = part.schema::<R::Input>();
    complete(&mut part.schemas[&input]);
    let patch = format!("{row}Patch");
    let schema = patch_of::<R>(&part.schemas[&input]);
    part.schemas.insert(patch.clone(), schema);

    let name = R::NAME;
    let collection = format!("/api/{}/v1/{}", R::SERVICE, R::COLLECTION);
    let mut list = operation(
        &format!("List {}", R::COLLECTION),
        list_parameters::<R>(),
        success("200", "A page", &page),
    );
    problems(&mut list, &["400"]);
    let mut get = operation(
        &format!("Read one {name}"),
        json!([id_parameter()]),
        success("200", "The record", &row),
    );
    get["responses"]["304"] =
        json!({"description": "The version named in If-None-Match is the current one"});
    problems(&mut get, &["404"]);
    let mut change = operation(
        &format!("Change one {name}"),
        json!([id_parameter(), if_match()]),
        success("200", "The record as changed", &row),
    );
    change["requestBody"] = body("application/merge-patch+json", &patch);
    problems(
        &mut change,
        &["400", "403", "404", "409", "412", "415", "422", "428"],
    );
    let mut many = json!({"get": list});
    let mut one = json!({"get": get, "patch": change});
    if R::CREATED_AND_DELETED {
        let mut create = operation(
            &format!("Make one {name}"),
            json!([]),
            success("201", "The record; Location has its address", &row),
        );
        create["requestBody"] = body("application/json", &input);
        problems(&mut create, &["400", "403", "409", "413", "415", "422"]);
        many["post"] = create;
        let mut delete = operation(
            &format!("Delete one {name}"),
            json!([id_parameter(), if_match()]),
            json!({"204": {"description": "Deleted"}}),
        );
        problems(&mut delete, &["403", "404", "409", "412", "428"]);
        one["delete"] = delete;
    } else {
        part.schemas.remove(&input);
    }
    part.add(&collection, many);
    part.add(&format!("{collection}/{{id}}"), one);
    part
}

/// Adds the common fields to the schema of an input.
fn complete(input: &mut Value) {
    let Ok(Value::Object(record)) = serde_json::to_value(Record::schema()) else {
        return;
    };
    for name in super::record::EDITABLE {
        let mut field = record["properties"][name].clone();
        if name == "owner_id" {
            field["type"] = json!(["string", "null"]);
        }
        input["properties"][name] = field;
    }
    input["additionalProperties"] = json!(false);
}

/// The schema of a change: every field may be left out.
fn patch_of<R: Resource>(input: &Value) -> Value {
    let mut patch = input.clone();
    let Some(schema) = patch.as_object_mut() else {
        return patch;
    };
    schema.remove("required");
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| {
            R::TABLE.columns.contains(&name.as_str())
                || R::KEPT_ELSEWHERE.contains(&name.as_str())
                || super::record::EDITABLE.contains(&name.as_str())
        });
    }
    patch
}

fn list_parameters<R: Resource>() -> Value {
    let sorts: Vec<_> = R::LISTING.sorts().map(|sort| sort.name).collect();
    let mut parameters = vec![
        json!({"name": "limit", "in": "query", "description": "Rows of the page; 50 when left out",
            "schema": {"type": "integer", "minimum": 1, "maximum": 200}}),
        query("cursor", "next_cursor of the page before"),
        query(
            "sort",
            &format!(
                "One of {}; with - before it for descending; {} when left out",
                sorts.join(", "),
                sorts[0]
            ),
        ),
    ];
    for filter in R::LISTING.filters() {
        let more = if filter.kind.is_ordered() {
            "lt., lte., gt. or gte. before a value, "
        } else {
            "in.(a,b), "
        };
        parameters.push(query(
            filter.name,
            &format!(
                "Only where it is {}; also {more}is.null, is.not_null",
                filter.kind.words()
            ),
        ));
    }
    json!(parameters)
}

fn operation(summary: &str, parameters: Value, responses: Value) -> Value {
    let mut operation =
        json!({"summary": summary, "security": [{"bearer": []}], "responses": responses});
    if parameters
        .as_array()
        .is_some_and(|parameters| !parameters.is_empty())
    {
        operation["parameters"] = parameters;
    }
    operation
}

fn problems(operation: &mut Value, statuses: &[&str]) {
    for status in ["401", "503"].iter().chain(statuses) {
        operation["responses"][*status] = json!({"$ref": "#/components/responses/Problem"});
    }
}

fn success(status: &str, description: &str, schema: &str) -> Value {
    json!({status: {"description": description, "content": {"application/json": {"schema": reference(schema)}}}})
}

fn body(media_type: &str, schema: &str) -> Value {
    json!({"required": true, "content": {media_type: {"schema": reference(schema)}}})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn query(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": {"type": "string"}})
}

fn id_parameter() -> Value {
    json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}})
}

fn if_match() -> Value {
    json!({"name": "If-Match", "in": "header", "required": true, "description": "ETag of the record as it was read",
        "schema": {"type": "string"}})
}
