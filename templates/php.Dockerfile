#: PHP: the same image twice, as it has no smaller one: extensions are built in the first, and headers, tools and Composer stay there.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: the description of the official image (docker-library/php), and the PHP guide of docs.docker.com.
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
