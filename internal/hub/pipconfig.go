package hub

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// defaultIndex is the Python package index that is used unless pip is set up
// for another one.
const defaultIndex = "https://pypi.org/simple"

// PipIndexes are the addresses of the package indexes that pip would use on this
// machine, the main one first: a mirror that PIP_INDEX_URL or one of pip's
// configuration files names serves here too. pip itself need not be installed.
func PipIndexes(getenv func(string) string) []string {
	settings := []map[string]string{{"index-url": getenv("PIP_INDEX_URL"), "extra-index-url": getenv("PIP_EXTRA_INDEX_URL")}}
	for _, path := range pipFiles(getenv) {
		if text, err := os.ReadFile(path); err == nil {
			settings = append(settings, pipSettings(string(text)))
		}
	}
	// For each setting the first place that has it decides, as with pip.
	first := func(key string) []string {
		for _, s := range settings {
			if values := strings.Fields(s[key]); len(values) > 0 {
				return values
			}
		}
		return nil
	}
	main := first("index-url")
	if len(main) == 0 {
		main = []string{defaultIndex}
	}
	return append(main[:1:1], first("extra-index-url")...)
}

// pipFiles are pip's configuration files, the most specific one first.
func pipFiles(getenv func(string) string) []string {
	name := "pip.conf"
	if runtime.GOOS == "windows" {
		name = "pip.ini"
	}
	var files []string
	if path := getenv("PIP_CONFIG_FILE"); path == os.DevNull {
		return nil // how pip is told to read none of its files
	} else if path != "" {
		files = append(files, path)
	}
	if environment := getenv("VIRTUAL_ENV"); environment != "" {
		files = append(files, filepath.Join(environment, name))
	}
	if home := getenv("HOME"); home != "" {
		if own := getenv("XDG_CONFIG_HOME"); own != "" {
			files = append(files, filepath.Join(own, "pip", name))
		}
		files = append(files, filepath.Join(home, ".config", "pip", name),
			filepath.Join(home, "Library", "Application Support", "pip", name), filepath.Join(home, ".pip", name))
	}
	for _, variable := range []string{"APPDATA", "ProgramData"} { // Windows sets these
		if root := getenv(variable); root != "" {
			files = append(files, filepath.Join(root, "pip", name))
		}
	}
	return append(files, "/Library/Application Support/pip/pip.conf", "/etc/xdg/pip/pip.conf", "/etc/pip.conf")
}

// pipSettings reads the sections [global] and [install] of a configuration file
// of pip. What [install] says comes before what [global] says.
func pipSettings(text string) map[string]string {
	sections := map[string]map[string]string{"global": {}, "install": {}}
	section, key := "", ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := strings.TrimRight(lines.Text(), " \t\r")
		content := strings.TrimSpace(line)
		switch {
		case content == "" || content[0] == '#' || content[0] == ';':
		case line[0] == ' ' || line[0] == '\t': // goes on with the value above
			if values := sections[section]; values != nil && key != "" {
				values[key] += " " + content
			}
		case content[0] == '[':
			section, key = strings.Trim(content, "[]"), ""
		default:
			var value string
			if i := strings.IndexAny(content, "=:"); i >= 0 {
				key, value = strings.TrimSpace(content[:i]), strings.TrimSpace(content[i+1:])
			}
			key = strings.ReplaceAll(strings.ToLower(key), "_", "-")
			if values := sections[section]; values != nil {
				values[key] = value
			}
		}
	}
	for key, value := range sections["install"] {
		sections["global"][key] = value
	}
	return sections["global"]
}
