#: Compiled programs: the toolchain's image builds, the bare distribution that it stands on runs.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: Docker's documentation on multi-stage builds, and its guides for Go, Rust and C++.
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
