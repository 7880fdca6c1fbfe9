#: Ruby: the full image compiles the gems, the slim one of the same version runs, with the bundle at the same path.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: the Dockerfile that `rails new` writes, and the Ruby guide of docs.docker.com.
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
