#: Node.js: the full image installs and builds, the slim one of the same version runs.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: Docker's documentation of the official images, and docker-node's BestPractices.md.
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
