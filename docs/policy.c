/* Asks an exported policy from C: observations come in as numbers, each is answered by a line with
   the action and its parameters. deploy.md says how to build and run it. */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <tensorflow/c/c_api.h>

static void check(const TF_Status *status) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "error: %s\n", TF_Message(status));
  exit(EXIT_FAILURE);
}

static TF_Output tensor(TF_Graph *graph, const char *operation, int index) {
  TF_Output output = {TF_GraphOperationByName(graph, operation), index};
  if (output.oper != NULL) return output;
  fprintf(stderr, "error: expected an exported policy, received a model without %s\n", operation);
  exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s models/CELL < observations\n", argv[0]);
    return EXIT_FAILURE;
  }
  TF_Status *status = TF_NewStatus();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Graph *graph = TF_NewGraph();
  const char *tags[] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  check(status);

  /* The names that `saved_model_cli show --all` prints; outputs are numbered by the alphabet. */
  const TF_Output input = tensor(graph, "serving_default_observation", 0);
  const TF_Output outputs[] = {
      tensor(graph, "PartitionedCall", 0), /* action */
      tensor(graph, "PartitionedCall", 2), /* num_parameters */
      tensor(graph, "PartitionedCall", 3), /* parameters */
  };
  if (TF_OperationOutputType(input) != TF_FLOAT) {
    fprintf(stderr, "error: expected a policy that takes float32, received another type\n");
    return EXIT_FAILURE;
  }
  int64_t shape[2]; /* rows, features */
  TF_GraphGetTensorShape(graph, input, shape, 2, status);
  check(status);
  shape[0] = 1;
  TF_Tensor *observation = TF_AllocateTensor(TF_FLOAT, shape, 2, shape[1] * sizeof(float));
  float *features = TF_TensorData(observation);

  for (int64_t count = 0; scanf("%f", &features[count]) == 1;) {
    if (++count < shape[1]) continue;
    count = 0;
    TF_Tensor *answers[3] = {NULL};
    TF_SessionRun(session, NULL, &input, &observation, 1, outputs, answers, 3, NULL, 0, NULL,
                  status);
    check(status);
    const int32_t action = *(int32_t *)TF_TensorData(answers[0]);
    const int32_t number = *(int32_t *)TF_TensorData(answers[1]);
    const float *parameters = TF_TensorData(answers[2]);
    printf("%" PRId32, action);
    for (int32_t index = 0; index < number; index++) printf(" %.9g", parameters[index]);
    printf("\n");
    for (int each = 0; each < 3; each++) TF_DeleteTensor(answers[each]);
  }

  TF_DeleteTensor(observation);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return EXIT_SUCCESS;
}
