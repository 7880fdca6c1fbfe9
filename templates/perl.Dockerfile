#: Perl: the full image compiles the modules, the slim one of the same version runs, with modules at the same path.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: the description of the official image (perl/docker-perl).
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
