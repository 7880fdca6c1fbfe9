#: Bun: the full image installs and builds, the slim one of the same version runs.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: Bun's guide on containers, and oven-sh/bun's own images.
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
