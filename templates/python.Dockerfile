#: Python: the full image compiles and installs, the slim one of the same version runs, with packages at the same path.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: Docker's documentation of the official images, and the Python guide of docs.docker.com.
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
