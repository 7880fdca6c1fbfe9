//! Lock files and manifests of Go, Rust, Ruby, PHP, Java, .NET and Elixir.

use serde_json::Value;

use super::{Format, LineFinder, Lock, Package};

fn lock(format: Format, packages: Vec<Package>) -> Lock {
    Lock {
        format,
        packages,
        platforms: Vec::new(),
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(n, line)| (n + 1, line))
}

/// `go.mod`: the modules that it requires, and where it replaces one, what by.
#[must_use]
pub fn go_mod(text: &str) -> Lock {
    let mut packages = Vec::new();
    let mut block = "";
    for (number, line) in numbered(text) {
        let line = line.split("//").next().unwrap_or_default().trim();
        let mut words = line.split_whitespace();
        let (verb, rest) = match (block, words.next()) {
            (_, None) => continue,
            ("", Some(verb)) if line.ends_with('(') => {
                block = verb;
                continue;
            }
            (_, Some(")")) => {
                block = "";
                continue;
            }
            ("", Some(verb)) => (verb, words.collect::<Vec<_>>()),
            (block, Some(_)) => (block, line.split_whitespace().collect()),
        };
        let (name, version) = match (verb, rest.as_slice()) {
            ("require", [name, version, ..]) => (name, version),
            ("replace", [.., "=>", name, version]) => (name, version),
            _ => continue,
        };
        packages.push(Package {
            line: number,
            ..Package::new(*name, *version)
        });
    }
    lock(Format::Go, packages)
}

/// `Cargo.lock`. The workspace's own crates, which have no source, are left
/// out.
///
/// # Errors
/// Why it can't be read, in words.
pub fn cargo(text: &str) -> Result<Lock, String> {
    let table = text.parse::<toml::Table>();
    let table = table.map_err(|error| error.message().to_owned())?;
    let mut finder = LineFinder::new(text);
    let rows = table.get("package").and_then(toml::Value::as_array);
    let mut packages = Vec::new();
    for row in rows.into_iter().flatten() {
        let cell = |key: &str| row.get(key).and_then(toml::Value::as_str);
        let (Some(name), Some(_)) = (cell("name"), cell("source")) else {
            continue;
        };
        let needs = row.get("dependencies").and_then(toml::Value::as_array);
        let needs = needs.into_iter().flatten().filter_map(toml::Value::as_str);
        packages.push(Package {
            line: finder.find(&format!("\nname = \"{name}\"")) + 1,
            needs: needs
                .map(|need| need.split(' ').next().unwrap_or(need).to_owned())
                .collect(),
            ..Package::new(name, cell("version").unwrap_or_default())
        });
    }
    Ok(lock(Format::Cargo, packages))
}

/// `Gemfile.lock`: each gem once, its platforms as its files (`ruby` for the
/// one without), and the platforms that it is locked for.
#[must_use]
pub fn gem(text: &str) -> Lock {
    let mut packages: Vec<Package> = Vec::new();
    let mut platforms = Vec::new();
    let mut section = "";
    let mut specs = false;
    for (number, line) in numbered(text) {
        let indent = line.len() - line.trim_start().len();
        let content = line.trim();
        match (indent, section) {
            (0, _) => {
                section = content;
                specs = false;
            }
            (2, "PLATFORMS") => platforms.push(content.to_owned()),
            (2, _) => specs = content == "specs:",
            (4, "GEM" | "GIT" | "PATH") if specs => {
                let Some((name, version)) = content.split_once(" (") else {
                    continue;
                };
                let version = version.trim_end_matches(')');
                // `1.17.0-x86_64-linux-musl`: versions of gems have no dash.
                let (version, platform) = version.split_once('-').unwrap_or((version, "ruby"));
                let row = packages
                    .iter_mut()
                    .find(|p| p.name == name && p.version == version);
                match row {
                    Some(row) => row.files.push(platform.to_owned()),
                    None => packages.push(Package {
                        line: number,
                        files: vec![platform.to_owned()],
                        ..Package::new(name, version)
                    }),
                }
            }
            _ => {}
        }
    }
    Lock {
        format: Format::Gem,
        packages,
        platforms,
    }
}

/// `composer.lock` or `composer.json`: the PHP extensions that are asked for,
/// as packages named `ext-…`; other packages are PHP alone.
///
/// # Errors
/// Why it can't be read, in words.
pub fn composer(text: &str) -> Result<Lock, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut finder = LineFinder::new(text);
    let mut packages: Vec<Package> = Vec::new();
    let mut add = |map: &Value, by: &str, dev: bool| {
        for name in map.as_object().into_iter().flatten().map(|(k, _)| k) {
            if name.starts_with("ext-") && !packages.iter().any(|p| p.name == *name) {
                packages.push(Package {
                    line: finder.find(&format!("\"{name}\"")),
                    dev,
                    needs: vec![by.to_owned()],
                    ..Package::new(name.clone(), "")
                });
            }
        }
    };
    add(&value["platform"], "the project", false);
    add(&value["require"], "the project", false);
    for (list, dev) in [("packages", false), ("packages-dev", true)] {
        for row in value[list].as_array().into_iter().flatten() {
            let name = row["name"].as_str().unwrap_or_default();
            add(&row["require"], name, dev);
        }
    }
    Ok(lock(Format::Composer, packages))
}

/// An XML document, read leniently where it has a document type.
fn xml(text: &str) -> Result<roxmltree::Document<'_>, String> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    let text = text.trim_start_matches('\u{feff}');
    roxmltree::Document::parse_with_options(text, options).map_err(|error| error.to_string())
}

/// `pom.xml`: the dependencies that it names itself; versions of properties
/// are resolved where they stand in the same file.
///
/// # Errors
/// Why it can't be read, in words.
pub fn maven(text: &str) -> Result<Lock, String> {
    let document = xml(text)?;
    let child = |node: roxmltree::Node<'_, '_>, name: &str| -> Option<String> {
        let found = node.children().find(|c| c.tag_name().name() == name)?;
        found.text().map(|text| text.trim().to_owned())
    };
    let properties = document
        .descendants()
        .find(|node| node.tag_name().name() == "properties");
    let mut packages = Vec::new();
    for node in document.descendants() {
        if node.tag_name().name() != "dependency" {
            continue;
        }
        let (Some(group), Some(artifact)) = (child(node, "groupId"), child(node, "artifactId"))
        else {
            continue;
        };
        let version = child(node, "version").unwrap_or_default();
        let property = version
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'));
        let version = match property {
            Some(name) => properties.and_then(|p| child(p, name)).unwrap_or_default(),
            None => version,
        };
        let line = document.text_pos_at(node.range().start).row;
        packages.push(Package {
            line: usize::try_from(line).unwrap_or_default(),
            dev: child(node, "scope").as_deref() == Some("test"),
            ..Package::new(format!("{group}:{artifact}"), version)
        });
    }
    Ok(lock(Format::Maven, packages))
}

/// `gradle.lockfile` (`group:artifact:version=…`), and the coordinates that
/// stand as strings in a build script.
#[must_use]
pub fn gradle(text: &str) -> Lock {
    let mut packages = Vec::new();
    for (number, line) in numbered(text) {
        if line.trim_start().starts_with(['#', '/']) {
            continue;
        }
        let quoted = line.split(['\'', '"']).skip(1).step_by(2);
        let plain = line.split_once('=').map(|(head, _)| head);
        for text in quoted.chain(plain) {
            let parts: Vec<&str> = text.split(':').collect();
            let word = |part: &&str| {
                !part.is_empty()
                    && part
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "._-${}+".contains(c))
            };
            if !(2..=4).contains(&parts.len()) || !parts.iter().all(word) || !parts[0].contains('.')
            {
                continue;
            }
            packages.push(Package {
                line: number,
                ..Package::new(
                    format!("{}:{}", parts[0], parts[1]),
                    parts.get(2).copied().unwrap_or_default(),
                )
            });
        }
    }
    lock(Format::Gradle, packages)
}

/// `packages.lock.json` of NuGet.
///
/// # Errors
/// Why it can't be read, in words.
pub fn nuget(text: &str) -> Result<Lock, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut finder = LineFinder::new(text);
    let mut packages = Vec::new();
    for (_, framework) in value["dependencies"].as_object().into_iter().flatten() {
        for (name, row) in framework.as_object().into_iter().flatten() {
            if row["type"].as_str() == Some("Project") {
                continue;
            }
            let version = row["resolved"].as_str().unwrap_or_default();
            packages.push(Package {
                line: finder.find(&format!("\"{name}\": {{")),
                ..Package::new(name.clone(), version)
            });
        }
    }
    Ok(lock(Format::Nuget, packages))
}

/// What a project file of .NET says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
    /// The packages that it references.
    pub lock: Lock,
    /// Its properties, with their lines.
    pub properties: Vec<(String, String, usize)>,
}

impl Project {
    /// The value of a property, and its line.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<(&str, usize)> {
        let found = self.properties.iter().rev().find(|(key, ..)| key == name);
        found.map(|(_, value, line)| (value.as_str(), *line))
    }
}

/// `*.csproj`, `*.fsproj`, `Directory.Build.props`.
///
/// # Errors
/// Why it can't be read, in words.
pub fn project_xml(text: &str) -> Result<Project, String> {
    let document = xml(text)?;
    let line = |node: roxmltree::Node<'_, '_>| {
        let row = document.text_pos_at(node.range().start).row;
        usize::try_from(row).unwrap_or_default()
    };
    let mut packages = Vec::new();
    let mut properties = Vec::new();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        if matches!(name, "PackageReference" | "PackageVersion") {
            if let Some(package) = node.attribute("Include").or(node.attribute("Update")) {
                packages.push(Package {
                    line: line(node),
                    ..Package::new(package, node.attribute("Version").unwrap_or_default())
                });
            }
        } else if node
            .parent()
            .is_some_and(|p| p.tag_name().name() == "PropertyGroup")
        {
            let value = node.text().unwrap_or_default().trim().to_owned();
            properties.push((name.to_owned(), value, line(node)));
        }
    }
    Ok(Project {
        lock: lock(Format::Nuget, packages),
        properties,
    })
}

/// `mix.lock`: `"name": {:hex, :name, "1.0.0", …}`, one a line.
#[must_use]
pub fn hex(text: &str) -> Lock {
    let mut packages = Vec::new();
    for (number, line) in numbered(text) {
        let Some((name, rest)) = line
            .trim()
            .strip_prefix('"')
            .and_then(|l| l.split_once("\":"))
        else {
            continue;
        };
        let version = rest.split('"').nth(1).unwrap_or_default();
        packages.push(Package {
            line: number,
            ..Package::new(name, version)
        });
    }
    lock(Format::Hex, packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(lock: &Lock) -> Vec<&str> {
        lock.packages.iter().map(|p| p.name.as_str()).collect()
    }

    #[test]
    fn go_modules_and_their_replacements() {
        let lock = go_mod(
            "module x\n\ngo 1.22\n\nrequire (\n\tgithub.com/a/b v1.0.0 // indirect\n\tgithub.com/mattn/go-sqlite3 v1.14.0\n)\nrequire github.com/c/d v0.1.0\nreplace github.com/c/d => github.com/e/f v0.2.0\nreplace github.com/g/h => ../h\n",
        );
        assert_eq!(
            names(&lock),
            [
                "github.com/a/b",
                "github.com/mattn/go-sqlite3",
                "github.com/c/d",
                "github.com/e/f"
            ]
        );
        assert_eq!(
            (lock.packages[1].line, lock.packages[1].version.as_str()),
            (7, "v1.14.0")
        );
    }

    #[test]
    fn crates_without_the_workspace() {
        let lock = cargo("version = 3\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"openssl-sys\",\n]\n\n[[package]]\nname = \"openssl-sys\"\nversion = \"0.9.0\"\nsource = \"registry+https://r\"\ndependencies = [\n \"cc 1.0.0\",\n \"openssl-src\",\n]\n").unwrap();
        assert_eq!(names(&lock), ["openssl-sys"]);
        assert_eq!(lock.packages[0].needs, ["cc", "openssl-src"]);
        assert_eq!(lock.packages[0].line, 11);
    }

    #[test]
    fn gems_with_their_platforms() {
        let lock = gem(
            "GEM\n  remote: https://rubygems.org/\n  specs:\n    nokogiri (1.17.0-x86_64-linux)\n      racc (~> 1.4)\n    nokogiri (1.17.0-x86_64-linux-musl)\n    pg (1.5.9)\n\nPLATFORMS\n  x86_64-linux\n  ruby\n\nDEPENDENCIES\n  pg\n",
        );
        assert_eq!(names(&lock), ["nokogiri", "pg"]);
        assert_eq!(
            lock.packages[0].files,
            ["x86_64-linux", "x86_64-linux-musl"]
        );
        assert_eq!(
            (lock.packages[1].files[0].as_str(), lock.packages[1].line),
            ("ruby", 7)
        );
        assert_eq!(lock.platforms, ["x86_64-linux", "ruby"]);
    }

    #[test]
    fn extensions_that_composer_asks_for() {
        let lock = composer(
            r#"{ "packages": [ { "name": "a/b", "require": { "php": "8", "ext-intl": "*" } } ],
 "packages-dev": [ { "name": "c/d", "require": { "ext-dom": "*" } } ],
 "platform": { "ext-gd": "*" } }"#,
        )
        .unwrap();
        assert_eq!(names(&lock), ["ext-gd", "ext-intl", "ext-dom"]);
        assert_eq!(lock.packages[1].needs, ["a/b"]);
        assert!(lock.packages[2].dev);
    }

    #[test]
    fn java_dependencies() {
        let pom = maven("<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n<properties><netty.version>4.1.0</netty.version></properties>\n<dependencies>\n<dependency><groupId>io.netty</groupId><artifactId>netty-all</artifactId><version>${netty.version}</version></dependency>\n<dependency><groupId>org.x</groupId><artifactId>t</artifactId><scope>test</scope></dependency>\n</dependencies></project>").unwrap();
        assert_eq!(names(&pom), ["io.netty:netty-all", "org.x:t"]);
        assert_eq!(
            (pom.packages[0].version.as_str(), pom.packages[0].line),
            ("4.1.0", 4)
        );
        assert!(pom.packages[1].dev);
        let script = gradle(
            "dependencies {\n  implementation 'org.rocksdb:rocksdbjni:7.0.0'\n  // 'a.b:c:1'\n  api(\"org.x:y\")\n}\norg.z:w:2.0=runtimeClasspath\n",
        );
        assert_eq!(
            names(&script),
            ["org.rocksdb:rocksdbjni", "org.x:y", "org.z:w"]
        );
    }

    #[test]
    fn dotnet_packages_and_properties() {
        let lock = nuget(
            r#"{ "version": 1, "dependencies": { "net8.0": {
 "Grpc.Core": { "type": "Direct", "resolved": "2.46.6" }, "own": { "type": "Project" } } } }"#,
        )
        .unwrap();
        assert_eq!(names(&lock), ["Grpc.Core"]);
        let project = project_xml("<Project Sdk=\"Microsoft.NET.Sdk.Web\">\n<PropertyGroup>\n<InvariantGlobalization>true</InvariantGlobalization></PropertyGroup>\n<ItemGroup><PackageReference Include=\"Npgsql\" Version=\"8.0.0\" /></ItemGroup></Project>").unwrap();
        assert_eq!(names(&project.lock), ["Npgsql"]);
        assert_eq!(
            project.property("InvariantGlobalization"),
            Some(("true", 3))
        );
        assert_eq!(project.property("PublishAot"), None);
    }

    #[test]
    fn hex_packages() {
        let lock = hex(
            "%{\n  \"bcrypt_elixir\": {:hex, :bcrypt_elixir, \"3.1.0\", \"x\", [:mix], [], \"hexpm\", \"y\"},\n}\n",
        );
        assert_eq!(names(&lock), ["bcrypt_elixir"]);
        assert_eq!(
            (lock.packages[0].version.as_str(), lock.packages[0].line),
            ("3.1.0", 2)
        );
    }
}
