package producer

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	years10     = 10 * 365 * 86400.0
	deepest     = 128
	mostBytes   = 1024 * 1024
	mostContext = 64 * 1024
	mostDigits  = 4300
)

var (
	queueForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
	jobIDForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
)

var kinds = map[reflect.Kind]string{
	reflect.Float64: "a number",
	reflect.Int:     "a whole number",
	reflect.Map:     "an object of texts",
	reflect.String:  "a text",
	reflect.Struct:  "an object",
}

// Job is what to enqueue. What is nil is RRQ's default; Of makes the pointers.
type Job struct {
	FunctionName     string            `json:"function_name"` // "handler" or "runner#handler"
	Params           json.RawMessage   `json:"params"`        // a JSON object
	QueueName        *string           `json:"queue_name"`
	JobID            *string           `json:"job_id"`
	MaxRetries       *int              `json:"max_retries"` // attempts in all
	TimeoutSeconds   *float64          `json:"job_timeout_seconds"`
	ResultTTLSeconds *float64          `json:"result_ttl_seconds"`
	DeferSeconds     *float64          `json:"defer_seconds"`
	UniqueKey        *string           `json:"unique_key"`
	UniqueTTLSeconds *float64          `json:"unique_ttl_seconds"`
	TraceContext     map[string]string `json:"trace_context"`
}

// Of returns a pointer to a value: Job{FunctionName: "echo", MaxRetries: producer.Of(3)}.
func Of[T any](value T) *T { return &value }

// ParseJob reads a job from one JSON object. Its error names the field that is wrong.
func ParseJob(text []byte) (Job, error) {
	var job Job
	if err := checkText("job", text); err != nil {
		return job, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var wrong *json.UnmarshalTypeError
	if err := decoder.Decode(&job); errors.As(err, &wrong) {
		field := wrong.Field
		if field == "" {
			field = "job"
		}
		return job, fmt.Errorf("%s: expected %s, got %s", field, kinds[wrong.Type.Kind()], wrong.Value)
	} else if err != nil {
		return job, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return job, errors.New("expected one JSON object, got more behind it")
	}
	return job, job.Check()
}

// Check refuses what RRQ's own producer refuses: it would be a dead letter later. Its error names the field.
func (job Job) Check() error {
	_, err := job.record()
	return err
}

// record returns the arguments of one job, in the order that the header of enqueue.lua gives.
func (job Job) record() ([]string, error) {
	if err := job.checkTexts(); err != nil {
		return nil, err
	}
	if job.MaxRetries != nil && (*job.MaxRetries < 1 || *job.MaxRetries > 1000000) {
		return nil, fmt.Errorf("max_retries: expected attempts in all, 1 to 1000000, got %d", *job.MaxRetries)
	}
	for _, each := range []struct {
		field       string
		value       *float64
		least, most float64
	}{
		{"job_timeout_seconds", job.TimeoutSeconds, 0.001, 365 * 86400},
		{"result_ttl_seconds", job.ResultTTLSeconds, 0, years10},
		{"defer_seconds", job.DeferSeconds, 0, years10},
		{"unique_ttl_seconds", job.UniqueTTLSeconds, 0.001, years10},
	} {
		if each.value != nil && !(*each.value >= each.least && *each.value <= each.most) {
			return nil, fmt.Errorf("%s: expected seconds, %s to %s, got %s",
				each.field, number(each.least), number(each.most), number(*each.value))
		}
	}
	if job.Params == nil {
		job.Params = json.RawMessage("{}")
	}
	if err := checkObject("params", job.Params); err != nil {
		return nil, err
	}
	due, trace := "", ""
	if seconds := or(job.DeferSeconds, 0); seconds > 0 {
		due = "+" + strconv.FormatFloat(seconds*1000, 'f', 3, 64)
	}
	if len(job.TraceContext) > 0 {
		text, err := json.Marshal(job.TraceContext)
		if err != nil || len(text) > mostContext {
			return nil, fmt.Errorf("trace_context: expected at most %d characters of JSON", mostContext)
		}
		trace = string(text)
	}
	queue := or(job.QueueName, "default")
	// Tells a repeat of this job from another job of the same id.
	digest := sha256.Sum256([]byte(job.FunctionName + "\x00" + queue + "\x00" + string(job.Params)))
	return []string{
		or(job.JobID, newID()), job.FunctionName, string(job.Params), queue,
		strconv.Itoa(or(job.MaxRetries, 5)), number(or(job.TimeoutSeconds, 300)), number(or(job.ResultTTLSeconds, 86400)),
		hex.EncodeToString(digest[:12]), due,
		or(job.UniqueKey, ""), number(math.Ceil(or(job.UniqueTTLSeconds, 21600) * 1000)),
		"", "", "0", // guard: rate limit, debounce, reschedule
		trace, "",
	}, nil
}

func (job Job) checkTexts() error {
	if !isFunction(job.FunctionName) {
		return fmt.Errorf(`function_name: expected "handler" or "runner#handler", 1 to 256 printable characters, got %.80q`,
			job.FunctionName)
	}
	if job.QueueName != nil && !queueForm.MatchString(*job.QueueName) {
		return fmt.Errorf("queue_name: expected 1 to 128 characters out of A-Z a-z 0-9 . _ -, got %.80q", *job.QueueName)
	}
	if job.JobID != nil && !jobIDForm.MatchString(*job.JobID) {
		return fmt.Errorf("job_id: expected 1 to 128 characters out of A-Z a-z 0-9 . _ : -, got %.80q", *job.JobID)
	}
	if job.UniqueKey != nil && !isPrintable(*job.UniqueKey) {
		return fmt.Errorf("unique_key: expected 1 to 256 printable characters, got %.80q", *job.UniqueKey)
	}
	return nil
}

func isPrintable(text string) bool {
	if count := utf8.RuneCountInString(text); count < 1 || count > 256 || !utf8.ValidString(text) {
		return false
	}
	return strings.IndexFunc(text, func(each rune) bool { return !unicode.IsPrint(each) }) < 0
}

func isFunction(name string) bool {
	if !isPrintable(name) || strings.TrimSpace(name) == "" {
		return false
	}
	runner, handler, prefixed := strings.Cut(name, "#")
	return !prefixed || (queueForm.MatchString(runner) && strings.TrimSpace(handler) != "")
}

// checkObject refuses what other programs could not read: Go keeps the text as it came.
func checkObject(field string, text []byte) error {
	if len(text) > mostBytes {
		return fmt.Errorf("%s: expected at most %d bytes, got %d", field, mostBytes, len(text))
	}
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); !json.Valid(text) || trimmed[0] != '{' {
		return fmt.Errorf("%s: expected a JSON object, got %.80s", field, text)
	}
	if err := checkText(field, text); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for depth := 0; ; {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		switch value := token.(type) {
		case json.Delim:
			if value == '{' || value == '[' {
				depth++
			} else {
				depth--
			}
			if depth > deepest {
				return fmt.Errorf("%s: expected at most %d levels", field, deepest)
			}
		case json.Number:
			if !fits(value.String()) {
				return fmt.Errorf("%s: expected numbers that a double can hold, got %.80s", field, value)
			}
		}
	}
}

func fits(number string) bool {
	if !strings.ContainsAny(number, ".eE") {
		return len(strings.TrimPrefix(number, "-")) <= mostDigits
	}
	_, err := strconv.ParseFloat(number, 64)
	return err == nil
}

// checkText refuses JSON whose texts are not Unicode; Go would put U+FFFD in their place.
func checkText(field string, text []byte) error {
	if !utf8.Valid(text) {
		return fmt.Errorf("%s: expected UTF-8", field)
	}
	low := false // whether the second half of a pair has to follow
	for at := 0; at < len(text); at++ {
		unit := uint64(0)
		if text[at] == '\\' {
			if at+6 <= len(text) && text[at+1] == 'u' {
				unit, _ = strconv.ParseUint(string(text[at+2:at+6]), 16, 16)
				at += 4
			}
			at++
		}
		if second := unit >= 0xDC00 && unit <= 0xDFFF; second != low {
			return fmt.Errorf("%s: expected Unicode, got half of a surrogate pair", field)
		}
		low = unit >= 0xD800 && unit <= 0xDBFF
	}
	return nil
}

func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

func number(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }

func newID() string {
	var data [16]byte
	_, _ = rand.Read(data[:])
	return hex.EncodeToString(data[:])
}
