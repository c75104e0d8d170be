// Starts GraphiQL on /graphql, with example operations in tabs. The ids are from the sample shop.
const examples = [
  `query UserWithOrders {
  user(id: "customer-2") {
    name
    recentOrders(limit: 5) {
      orderId
      amount
      placedAt
      payment { status settledAt }
    }
  }
}`,
  `query Orders {
  orders(first: 5, filter: { status: "PLACED" }) {
    edges { cursor node { id orderId amount user { name } } }
    pageInfo { hasNextPage endCursor }
  }
}`,
  `query UsersBatch {
  usersById(ids: ["customer-2", "customer-59"]) {
    name
    recentOrders { orderId amount }
  }
}`,
  `query InventoryItem {
  inventory(sku: "track-2") { quantity }
}`,
  `# Press Run, then change the stock:
# curl localhost:8090/api/v1/inventory-adjustments -H 'content-type: application/json' -d '{"sku":"track-2","delta":1}'
subscription Stock {
  inventoryChanged(sku: "track-2") { sku quantity }
}`,
];

// Runs one operation over a WebSocket (graphql-transport-ws) and returns the observable that GraphiQL expects. Browsers
// cannot set headers on a WebSocket, so the headers of the editor are sent in connection_init.
function subscribe(request, headers) {
  return {
    subscribe(observer) {
      const address = new URL('/graphql', location.href.replace(/^http/, 'ws'));
      const socket = new WebSocket(address, 'graphql-transport-ws');
      const send = (message) => socket.send(JSON.stringify(message));
      socket.onopen = () => send({ type: 'connection_init', payload: headers ?? {} });
      socket.onmessage = ({ data }) => {
        const { type, payload } = JSON.parse(data);
        if (type === 'connection_ack') send({ type: 'subscribe', id: '1', payload: request });
        else if (type === 'next') observer.next(payload);
        else if (type === 'error') observer.error(payload);
        else if (type === 'complete') observer.complete();
      };
      socket.onclose = ({ code, reason }) => observer.error(new Error(`WebSocket closed: ${code} ${reason}`));
      return {
        unsubscribe() {
          socket.onclose = null;
          socket.close(1000);
        },
      };
    },
  };
}

function isSubscription({ operationName }, options) {
  const operations = options?.documentAST?.definitions.filter(({ kind }) => kind === 'OperationDefinition') ?? [];
  const selected = operations.find(({ name }) => name?.value === operationName) ?? operations[0];
  return selected?.operation === 'subscription';
}

const fetcher = GraphiQL.createFetcher({ url: '/graphql' });

ReactDOM.createRoot(document.getElementById('graphiql')).render(
  React.createElement(GraphiQL, {
    fetcher: (request, options) =>
      isSubscription(request, options) ? subscribe(request, options?.headers) : fetcher(request, options),
    defaultTabs: examples.map((query) => ({ query })),
  }),
);
